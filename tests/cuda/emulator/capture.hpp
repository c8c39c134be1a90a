// Streams, events and the graphs that are captured from them.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "tests/cuda/emulator/stream.hpp"

namespace calm_emulated {

struct GraphNode {
  std::function<void()> work;
  std::vector<std::size_t> after;  // numbers of nodes that must have run
};

/// One capture, from its beginning to its end.
struct Capture {
  CUstream_st *origin;
  std::vector<GraphNode> nodes;
  std::vector<CUstream_st *> joined;  // streams that came in by an event; the origin too
};

class Stream : public CUstream_st {
 public:
  void submit(std::function<void()> work) override;
  std::shared_ptr<Capture> capture;  // null: what is put here runs at once
  std::vector<std::size_t> front;    // the nodes that the next one comes after
};

inline Stream *stream_of(cudaStream_t stream) { return static_cast<Stream *>(stream); }

/// The error of the last failed call, as cudaGetLastError gives it.
cudaError_t leave_error(cudaError_t error);

}  // namespace calm_emulated

struct CUevent_st {
  std::weak_ptr<calm_emulated::Capture> capture;  // recorded in one, which may have ended
  bool captured = false;
  std::vector<std::size_t> front;
};

struct CUgraph_st {
  std::vector<calm_emulated::GraphNode> nodes;
};

struct CUgraphExec_st {
  std::vector<std::function<void()>> works;  // in the order they run in
};
