/* Activations, elementwise on a real tensor of any shape:
 *   gelu/1      0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))   (tanh form, spec E.4)
 *   silu/1      x sigmoid(x)                                      (spec E.5)
 *   softplus/1  log1p(exp(x)), and x itself for x > 20            (spec E.5)
 * and their gradients gelu_grad/1, silu_grad/1, softplus_grad/1: (x, grad) -> grad * f'(x).
 * Each f(-inf) is finite or a signed zero; NaN gives NaN. */
#pragma once

#define CALM_OP_GELU "gelu"
#define CALM_OP_GELU_GRAD "gelu_grad"
#define CALM_OP_SILU "silu"
#define CALM_OP_SILU_GRAD "silu_grad"
#define CALM_OP_SOFTPLUS "softplus"
#define CALM_OP_SOFTPLUS_GRAD "softplus_grad"
#define CALM_ACTIVATION_X 0
#define CALM_ACTIVATION_GRAD 1 /* of the _grad operators */
