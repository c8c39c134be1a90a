// Work of a stream as a graph that can be run again.
#pragma once

#include <cuda_runtime.h>

#include <utility>

#include "cuda/error.hpp"

namespace calm::cuda {

/// The work that `body` puts on `stream`, as a graph.
template <class Body>
cudaGraphExec_t capture(cudaStream_t stream, Body &&body) {
  // Relaxed: the driver loads a kernel's code when it is first used, which other modes forbid here.
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "capturing");
  cudaGraph_t graph = nullptr;
  try {
    body();
  } catch (...) {
    static_cast<void>(cudaStreamEndCapture(stream, &graph));
    static_cast<void>(cudaGraphDestroy(graph));
    static_cast<void>(cudaGetLastError());
    throw;
  }
  check(cudaStreamEndCapture(stream, &graph), "capturing");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t made = cudaGraphInstantiate(&executable, graph, 0);
  static_cast<void>(cudaGraphDestroy(graph));
  check(made, "instantiating the graph");
  return executable;
}

}  // namespace calm::cuda
