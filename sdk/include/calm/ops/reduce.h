/* sum/1: attribute axis: 0 = over rows (x [T, d] -> [d]), 1 = over columns (-> [T]), -1 =
 * everything (any shape -> scalar, default). Long sums accumulate in double. broadcast/1: the
 * reverse: x as sum gives it, `like` for the shape; attribute axis as above. */
#pragma once

#define CALM_OP_SUM "sum"
#define CALM_OP_BROADCAST "broadcast"
#define CALM_BROADCAST_X 0
#define CALM_BROADCAST_LIKE 1
#define CALM_REDUCE_AXIS 0 /* attribute */
