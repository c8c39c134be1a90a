/* cross_entropy/1 (spec F): sum over rows with target >= 0 of logsumexp(logits[t]) - logits[t,
 * target]. logits real [T, V], targets i32 [T] in [-1, V); -1 does not count
 *   -> loss_sum real scalar (accumulate in double), lse real [T] (0 in rows that do not count)
 * cross_entropy_grad/1: (softmax(logits[t]) - onehot(target)) * grad; rows with target -1 exactly 0
 *   logits, targets, lse, grad real scalar -> real [T, V] */
#pragma once

#define CALM_OP_CROSS_ENTROPY "cross_entropy"
#define CALM_CROSS_ENTROPY_LOGITS 0
#define CALM_CROSS_ENTROPY_TARGETS 1
#define CALM_CROSS_ENTROPY_LOSS 0
#define CALM_CROSS_ENTROPY_LSE 1

#define CALM_OP_CROSS_ENTROPY_GRAD "cross_entropy_grad"
#define CALM_CROSS_ENTROPY_GRAD_LSE 2
#define CALM_CROSS_ENTROPY_GRAD_GRAD 3
