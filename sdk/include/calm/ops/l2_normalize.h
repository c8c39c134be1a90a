/* l2_normalize/1 (spec G): y = x / max(norm, eps), norm = sqrt(sum of x squared) over the last
 * axis; a row of zeros stays zeros. Squares accumulate in double.
 *   x real [T, d]; attribute eps (f64, default 1e-12)   -> y real [T, d], norm real [T]
 * l2_normalize_grad/1: (grad - y (y . grad)) / norm where norm > eps, grad / eps elsewhere
 *   y, norm, grad real [T, d]; attribute eps as in the forward operator -> real [T, d] */
#pragma once

#define CALM_OP_L2_NORMALIZE "l2_normalize"
#define CALM_L2_NORMALIZE_X 0
#define CALM_L2_NORMALIZE_EPS 0 /* attribute */
#define CALM_L2_NORMALIZE_Y 0
#define CALM_L2_NORMALIZE_NORM 1

#define CALM_OP_L2_NORMALIZE_GRAD "l2_normalize_grad"
#define CALM_L2_NORMALIZE_GRAD_Y 0
#define CALM_L2_NORMALIZE_GRAD_NORM 1
#define CALM_L2_NORMALIZE_GRAD_GRAD 2
