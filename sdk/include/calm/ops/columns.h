/* split/1: consecutive columns of x real [T, d] as separate tensors; attributes size0 ... size7
 * (i64), the non-zero ones first, adding up to d  -> up to 8 tensors [T, size_i] concat/1: the
 * reverse, 1 to 8 tensors [T, size_i] -> [T, d] fill/1: a tensor of `like`'s type with every
 * element equal to attribute `value` (f64, default 0) */
#pragma once

#define CALM_OP_SPLIT "split"
#define CALM_OP_CONCAT "concat"
#define CALM_COLUMNS_MAX 8
#define CALM_OP_FILL "fill"
#define CALM_FILL_VALUE 0 /* attribute */
