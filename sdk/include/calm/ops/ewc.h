/* Online elastic weight consolidation (Schwarz et al., arXiv 1805.06370; spec J), elementwise on
 * flat groups. Fisher information and anchor exist from the start, as 0 and the start weights, so
 * the penalty is 0 before the first consolidation (program rule 10).
 * ewc_penalty/1: grad, param, fisher, anchor real [n]; scale real scalar = lambda * grad_scale
 *   -> grad' = grad + scale fisher (param - anchor), normally updating grad,
 *      sum real scalar = sum of fisher (param - anchor)^2 (accumulated in double): twice the
 *      penalty over lambda
 * fisher/1: fisher, grad real [n]; keep, take real scalars
 *   -> fisher' = keep fisher + take grad^2, normally updating fisher. A consolidation over k
 *      batches runs it k times: the first with keep = decay, the others with keep = 1, all with
 *      take = (1 - decay) / k. */
#pragma once

#define CALM_OP_EWC_PENALTY "ewc_penalty"
#define CALM_EWC_PENALTY_GRAD 0
#define CALM_EWC_PENALTY_PARAM 1
#define CALM_EWC_PENALTY_FISHER 2
#define CALM_EWC_PENALTY_ANCHOR 3
#define CALM_EWC_PENALTY_SCALE 4

#define CALM_OP_FISHER "fisher"
#define CALM_FISHER_FISHER 0
#define CALM_FISHER_GRAD 1
#define CALM_FISHER_KEEP 2
#define CALM_FISHER_TAKE 3
