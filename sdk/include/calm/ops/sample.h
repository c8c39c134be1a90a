/* sample/1 (spec D.1, D.2): one token a row.
 *   logits real [S, V]; temperature, top_p, min_p real scalars; top_k i32 scalar;
 *   seed i64 scalar, micro_step i32 scalar; draw real [S] (optional): uniforms that replace Philox
 *   (seed, counter = (0, row, micro_step, CALM_STREAM_SAMPLE), word 0)
 *   -> ids i32 [S], log_prob real [S] = logits/T - logsumexp(logits/T) at the id (T <= 0: unscaled)
 * The draw walks the kept probabilities in id order and takes the first id whose running sum
 * exceeds u * total. The largest logit is subtracted before the division by T, so that any T > 0 is
 * safe. A row with a logit of NaN or +infinity, or without a finite one, gives some id of the row
 * and log_prob NaN. */
#pragma once

#define CALM_OP_SAMPLE "sample"
#define CALM_SAMPLE_LOGITS 0
#define CALM_SAMPLE_TEMPERATURE 1
#define CALM_SAMPLE_TOP_K 2
#define CALM_SAMPLE_TOP_P 3
#define CALM_SAMPLE_MIN_P 4
#define CALM_SAMPLE_SEED 5
#define CALM_SAMPLE_MICRO_STEP 6
#define CALM_SAMPLE_DRAW 7
#define CALM_SAMPLE_IDS 0
#define CALM_SAMPLE_LOG_PROB 1
