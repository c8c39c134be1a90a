/* gated_silu/1 (spec E.5.6): out = y * silu(z), same shapes.
 * gated_silu_grad/1: (y, z, grad) -> grad_y = grad silu(z), grad_z = grad y silu'(z). */
#pragma once

#define CALM_OP_GATED_SILU "gated_silu"
#define CALM_GATED_SILU_Y 0
#define CALM_GATED_SILU_Z 1
#define CALM_OP_GATED_SILU_GRAD "gated_silu_grad"
#define CALM_GATED_SILU_GRAD_GRAD 2
