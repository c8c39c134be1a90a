/* selective_scan/1 (Gu & Dao, arXiv 2312.00752, algorithm 2; spec E.5.5), each sequence alone:
 *   h[t, e, n] = exp(delta[t, e] a[e, n]) h[t-1, e, n] + delta[t, e] b[t, n] x[t, e]
 *   y[t, e]    = sum over n of c[t, n] h[t, e, n]  +  d[e] x[t, e]
 *   h before a sequence is 0, or state_in.
 *   x, delta real [T, E]; a real [E, N] (negative); b, c real [T, N]; d real [E];
 *   offsets i32 [S + 1]; state_in real [S, E, N] (optional)
 *   -> y real [T, E] (dead rows 0)
 *      bounds real [ceil(T / 64), E, N], axis chunks: bounds[j] = h after row 64 j - 1 when that
 * row belongs to the same sequence as row 64 j, else undefined-but-finite (kernels write 0)
 *      state_out real [S, E, N]: h after the last row; of an empty sequence state_in, or 0.
 *        It may share storage with state_in.
 * selective_scan_grad/1 (no state_in; spec E.6): recomputes h from `bounds`
 *   x, delta, a, b, c, d, offsets, bounds, grad real [T, E]
 *   -> grad_x, grad_delta [T, E], grad_a [E, N], grad_b, grad_c [T, N], grad_d [E]
 *   (rows of dead tokens 0; the sums over sequences and rows in a fixed order) */
#pragma once

#define CALM_SCAN_CHUNK 64

#define CALM_OP_SELECTIVE_SCAN "selective_scan"
#define CALM_SELECTIVE_SCAN_X 0
#define CALM_SELECTIVE_SCAN_DELTA 1
#define CALM_SELECTIVE_SCAN_A 2
#define CALM_SELECTIVE_SCAN_B 3
#define CALM_SELECTIVE_SCAN_C 4
#define CALM_SELECTIVE_SCAN_D 5
#define CALM_SELECTIVE_SCAN_OFFSETS 6
#define CALM_SELECTIVE_SCAN_STATE_IN 7
#define CALM_SELECTIVE_SCAN_Y 0
#define CALM_SELECTIVE_SCAN_BOUNDS 1
#define CALM_SELECTIVE_SCAN_STATE_OUT 2

#define CALM_OP_SELECTIVE_SCAN_GRAD "selective_scan_grad"
#define CALM_SELECTIVE_SCAN_GRAD_BOUNDS 7 /* operands 0..6 as above */
#define CALM_SELECTIVE_SCAN_GRAD_GRAD 8
