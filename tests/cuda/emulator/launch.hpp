// kernel<<<grid, block, shared, stream>>>(arguments), as emulator/rewrite.cpp puts it.
#pragma once

#include <cuda_runtime_api.h>

#include <utility>

#include "tests/cuda/emulator/block.hpp"
#include "tests/cuda/emulator/stream.hpp"

namespace calm_emulated {

/// Puts a launch on its stream, or leaves an error where a device would refuse it.
void submit_grid(const Grid &grid, cudaStream_t stream, std::function<void()> body);

template <class Kernel>
struct Launcher {
  Grid grid;
  cudaStream_t stream;
  Kernel kernel;

  /// The arguments are those of the moment of the launch.
  template <class... Args>
  void operator()(Args... args) const {
    submit_grid(grid, stream, [kernel = kernel, args...] { kernel(args...); });
  }
};

template <class Kernel>
Launcher<Kernel> launcher(Place place, const char *name, Kernel kernel, dim3 grid, dim3 block,
                          std::size_t shared = 0, cudaStream_t stream = nullptr) {
  return {{grid, block, shared, place, name}, stream, kernel};
}

}  // namespace calm_emulated

template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel *kernel, cudaFuncAttribute attribute, int value) {
  return ::cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel), attribute, value);
}
