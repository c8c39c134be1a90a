/* accumulate/1: sum of gradients over micro-batches. Selects, so the first one never reads `sum`:
 *   sum real [...], value same type, first i32 scalar -> first != 0 ? value : sum + value
 *   The result normally `updates` sum.
 * global_norm/1 (spec I.6.1): 1 to 8 real tensors; attribute max_norm (f64)
 *   -> norm real scalar = sqrt(sum of squares) (accumulate in double),
 *      coefficient real scalar = min(1, max_norm / (norm + 1e-6)), ok i32 scalar = norm is finite
 * guard/1 (program rule 9): ok i32 scalar, bad i32 scalar (consecutive refused updates)
 *   -> go i32 scalar = ok and bad < 3, bad' i32 scalar = bad >= 3 ? bad : ok ? 0 : bad + 1
 *   bad' normally `updates` bad.
 * adamw/1 (spec I.8; Loshchilov & Hutter, arXiv 1711.05101), elementwise on flat groups:
 *   param, grad, m, v real [n]; lr, bias1 = 1 - beta1^t, bias2 = 1 - beta2^t, coefficient real
 *   scalars; go i32 scalar; attributes beta1, beta2, eps, weight_decay (f64)
 *   g = grad * coefficient (only when coefficient < 1); p = param (1 - lr weight_decay);
 *   m' = beta1 m + (1 - beta1) g; v' = beta2 v + (1 - beta2) g^2;
 *   p' = p - (lr / bias1) m' / (sqrt(v') / sqrt(bias2) + eps)
 *   -> param', m', v', each normally updating its operand; go = 0 leaves all three as they were.
 * record/1: writes scalars into a row of a ring.  ring real [R, M], row i32 scalar (taken modulo
 * R), 1 to 6 scalars (real or i32, M of them) -> ring', updating ring. */
#pragma once

#define CALM_OP_ACCUMULATE "accumulate"
#define CALM_ACCUMULATE_SUM 0
#define CALM_ACCUMULATE_VALUE 1
#define CALM_ACCUMULATE_FIRST 2

#define CALM_OP_GLOBAL_NORM "global_norm"
#define CALM_GLOBAL_NORM_MAX_NORM 0 /* attribute */
#define CALM_GLOBAL_NORM_NORM 0
#define CALM_GLOBAL_NORM_COEFFICIENT 1
#define CALM_GLOBAL_NORM_OK 2

#define CALM_OP_GUARD "guard"
#define CALM_GUARD_OK 0
#define CALM_GUARD_BAD 1
#define CALM_GUARD_LIMIT 3

#define CALM_OP_ADAMW "adamw"
#define CALM_ADAMW_PARAM 0
#define CALM_ADAMW_GRAD 1
#define CALM_ADAMW_M 2
#define CALM_ADAMW_V 3
#define CALM_ADAMW_LR 4
#define CALM_ADAMW_BIAS1 5
#define CALM_ADAMW_BIAS2 6
#define CALM_ADAMW_COEFFICIENT 7
#define CALM_ADAMW_GO 8
#define CALM_ADAMW_BETA1 0 /* attributes */
#define CALM_ADAMW_BETA2 1
#define CALM_ADAMW_EPS 2
#define CALM_ADAMW_WEIGHT_DECAY 3

#define CALM_OP_RECORD "record"
#define CALM_RECORD_RING 0
#define CALM_RECORD_ROW 1
#define CALM_RECORD_VALUES 2
