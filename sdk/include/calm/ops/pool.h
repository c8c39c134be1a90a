/* pool/1 (spec G): one row a sequence. attribute mode (i64): 0 = mean over its rows, 1 = its last
 * row; an empty sequence gives 0.   x real [T, d], offsets i32 [S + 1] -> real [S, d] pool_grad/1:
 * x (for its shape), offsets, grad real [S, d]; mode -> real [T, d] (dead rows 0) */
#pragma once

#define CALM_OP_POOL "pool"
#define CALM_OP_POOL_GRAD "pool_grad"
#define CALM_POOL_X 0
#define CALM_POOL_OFFSETS 1
#define CALM_POOL_GRAD_GRAD 2
#define CALM_POOL_MODE 0 /* attribute */
#define CALM_POOL_MEAN 0
#define CALM_POOL_LAST 1
