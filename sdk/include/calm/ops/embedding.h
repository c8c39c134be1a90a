/* embedding/1: rows of a table.  rows[t] = table[ids[t]]
 *   ids   i32 [T], each in [0, V); the host checks ids, kernels trust
 *   table real [V, d]
 *   -> rows real [T, d]
 * embedding_grad/1: table gradient.  out[v] = sum over t with ids[t] = v of grad[t], in order of t
 *   ids i32 [T], grad real [T, d]; attribute `rows` = V  -> real [V, d] */
#pragma once

#define CALM_OP_EMBEDDING "embedding"
#define CALM_EMBEDDING_IDS 0
#define CALM_EMBEDDING_TABLE 1

#define CALM_OP_EMBEDDING_GRAD "embedding_grad"
#define CALM_EMBEDDING_GRAD_IDS 0
#define CALM_EMBEDDING_GRAD_GRAD 1
#define CALM_EMBEDDING_GRAD_ROWS 0 /* attribute */
