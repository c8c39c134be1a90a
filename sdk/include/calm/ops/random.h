/* random_uniform/1, random_normal/1 (program rule 11): draws of the type of `like` [rows, ...].
 *   row r, lane l (index in the rest): w = philox(seed, l / 4, r + row_base, micro_step, stream)
 *   uniform: (w[l % 4] >> 8) * 2^-24
 *   normal (Box-Muller): lanes 2j, 2j+1 of a block share u1 = ((w[2j] >> 8) + 1) 2^-24 and
 *     u2 = (w[2j+1] >> 8) 2^-24: sqrt(-2 ln u1) cos(2 pi u2), sqrt(-2 ln u1) sin(2 pi u2), j = 0, 1
 *   like real, seed i64 scalar, row_base i32 scalar, micro_step i32 scalar,
 *   draw (optional, same type as like): returned instead of drawing
 *   attribute stream (i64): 0 = derived from the node's origin (calm_stream_id) */
#pragma once

#define CALM_OP_RANDOM_UNIFORM "random_uniform"
#define CALM_OP_RANDOM_NORMAL "random_normal"
#define CALM_RANDOM_LIKE 0
#define CALM_RANDOM_SEED 1
#define CALM_RANDOM_ROW_BASE 2
#define CALM_RANDOM_MICRO_STEP 3
#define CALM_RANDOM_DRAW 4
#define CALM_RANDOM_STREAM 0 /* attribute */
