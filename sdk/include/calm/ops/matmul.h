/* matmul/1: out = op(a) op(b), op(x) = x or its transpose.
 *   a real [M, K] ([K, M] with transpose_a), b real [K, N] ([N, K] with transpose_b)
 *   attributes transpose_a, transpose_b (bool, default false)
 *   -> real [M, N]; axis 0 keeps a's tag unless transpose_a
 * Sums over a tokens axis (transpose_a) are long: accumulate them in blocks or in double. */
#pragma once

#define CALM_OP_MATMUL "matmul"
#define CALM_MATMUL_A 0
#define CALM_MATMUL_B 1
#define CALM_MATMUL_TRANSPOSE_A 0 /* attribute */
#define CALM_MATMUL_TRANSPOSE_B 1 /* attribute */
