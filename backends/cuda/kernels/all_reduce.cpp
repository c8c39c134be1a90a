// all_reduce of a process alone: x itself. Several ranks add up between two graphs
// (cuda/executable.cpp).
#include <calm/ops/all_reduce.h>

#include "cuda/error.hpp"
#include "cuda/kernel.hpp"

namespace calm::cuda {

void all_reduce(const Launch &launch) {
  const auto *const x = launch.in<float>(CALM_ALL_REDUCE_X);
  auto *const y = launch.out<float>(0);
  const std::size_t n = count(launch.node().ins[CALM_ALL_REDUCE_X]);
  if (y != nullptr && y != x && n > 0) {
    check(cudaMemcpyAsync(y, x, n * sizeof(float), cudaMemcpyDeviceToDevice, launch.stream()),
          "copying on the device");
  }
}

}  // namespace calm::cuda
