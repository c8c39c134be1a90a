/* cast/1: x with another dtype; attribute dtype (i64, a calm_dtype). Between real types and from
 * i32; to bf16 rounds to nearest even. */
#pragma once

#define CALM_OP_CAST "cast"
#define CALM_CAST_DTYPE 0 /* attribute */
