/* layer_norm/1 (spec E.3): y = (x - mean) / sqrt(var + eps) * weight + bias over the last axis,
 * biased variance. x real [T, d], weight real [d], bias real [d]; attribute eps (f64, default 1e-5)
 *   -> y real [T, d], mean real [T], rstd real [T]
 * layer_norm_grad/1:
 *   x, weight, mean, rstd, grad real [T, d]
 *   -> grad_x [T, d], grad_weight [d], grad_bias [d] (sums over rows) */
#pragma once

#define CALM_OP_LAYER_NORM "layer_norm"
#define CALM_LAYER_NORM_X 0
#define CALM_LAYER_NORM_WEIGHT 1
#define CALM_LAYER_NORM_BIAS 2
#define CALM_LAYER_NORM_EPS 0 /* attribute */
#define CALM_LAYER_NORM_Y 0
#define CALM_LAYER_NORM_MEAN 1
#define CALM_LAYER_NORM_RSTD 2

#define CALM_OP_LAYER_NORM_GRAD "layer_norm_grad"
#define CALM_LAYER_NORM_GRAD_X 0
#define CALM_LAYER_NORM_GRAD_WEIGHT 1
#define CALM_LAYER_NORM_GRAD_MEAN 2
#define CALM_LAYER_NORM_GRAD_RSTD 3
#define CALM_LAYER_NORM_GRAD_GRAD 4
