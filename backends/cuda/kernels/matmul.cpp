// out = op(a) op(b) by cuBLASLt (cuda/blas.hpp).
#include <calm/ops/matmul.h>

#include "cuda/blas.hpp"
#include "cuda/error.hpp"
#include "cuda/kernel.hpp"

namespace calm::cuda {

void matmul(const Launch &launch) {
  Product p{};
  p.transpose_a = launch.flag(CALM_MATMUL_TRANSPOSE_A);
  p.transpose_b = launch.flag(CALM_MATMUL_TRANSPOSE_B);
  p.m = launch.extent(CALM_MATMUL_A, p.transpose_a ? 1 : 0);
  p.k = launch.extent(CALM_MATMUL_A, p.transpose_a ? 0 : 1);
  p.n = launch.extent(CALM_MATMUL_B, p.transpose_b ? 0 : 1);
  p.a = launch.in<float>(CALM_MATMUL_A);
  p.b = launch.in<float>(CALM_MATMUL_B);
  p.out = launch.out<float>(0);
  if (p.out == nullptr || p.m == 0 || p.n == 0) {
    return;
  }
  if (p.k == 0) {
    check(cudaMemsetAsync(p.out, 0, static_cast<std::size_t>(p.m * p.n) * sizeof(float),
                          launch.stream()),
          "clearing a product");
    return;
  }
  launch.blas().multiply(p, launch.stream());
}

}  // namespace calm::cuda
