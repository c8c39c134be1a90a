/* causal_conv_silu/1 (spec E.5.2): true causal depthwise convolution, then SiLU, each sequence
 * alone. c[t, e] = sum over k < K of weight[e, k] x[t - k, e]; y = silu(c) Values before the
 * sequence are 0, or those of state_in (oldest first, column K-1 the newest). x real [T, E], weight
 * real [E, K], offsets i32 [S + 1], state_in real [S, E, K] (optional)
 *   -> y real [T, E] (dead rows 0), state_out real [S, E, K]: the last K values of x, shorter
 *      sequences keep older ones from state_in or 0. state_out may share storage with state_in.
 * causal_conv_silu_grad/1 (no state_in):
 *   x, weight, offsets, grad real [T, E] -> grad_x [T, E] (dead rows 0), grad_weight [E, K] */
#pragma once

#define CALM_OP_CAUSAL_CONV_SILU "causal_conv_silu"
#define CALM_CAUSAL_CONV_SILU_X 0
#define CALM_CAUSAL_CONV_SILU_WEIGHT 1
#define CALM_CAUSAL_CONV_SILU_OFFSETS 2
#define CALM_CAUSAL_CONV_SILU_STATE_IN 3
#define CALM_CAUSAL_CONV_SILU_Y 0
#define CALM_CAUSAL_CONV_SILU_STATE_OUT 1

#define CALM_OP_CAUSAL_CONV_SILU_GRAD "causal_conv_silu_grad"
#define CALM_CAUSAL_CONV_SILU_GRAD_X 0
#define CALM_CAUSAL_CONV_SILU_GRAD_WEIGHT 1
#define CALM_CAUSAL_CONV_SILU_GRAD_OFFSETS 2
#define CALM_CAUSAL_CONV_SILU_GRAD_GRAD 3
