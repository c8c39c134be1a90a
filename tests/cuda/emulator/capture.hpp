// Streams, events and the graphs that are captured from them.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <deque>
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
  Stream();
  ~Stream() override;
  void submit(std::function<void()> work) override;
  void submit_until(std::function<bool()> work) override;
  std::atomic<std::int64_t> &clock() override;
  std::shared_ptr<Capture> capture;         // null: what is put here waits to be run
  std::vector<std::size_t> front;           // the nodes that the next one comes after
  std::deque<std::function<bool()>> works;  // in order
};

/// Runs what streams hold, of those that can go on the one that was made first (backward: last),
/// until `done`; false where nothing can go on before.
bool run_until(const std::function<bool()> &done);
/// Waits for every stream.
void finish_all();

inline Stream *stream_of(cudaStream_t stream) { return static_cast<Stream *>(stream); }

/// The error of the last failed call, as cudaGetLastError gives it.
cudaError_t leave_error(cudaError_t error);

}  // namespace calm_emulated

struct CUevent_st {
  std::weak_ptr<calm_emulated::Capture> capture;  // recorded in one, which may have ended
  bool captured = false;
  std::vector<std::size_t> front;
  std::shared_ptr<bool> passed;  // recorded in no capture; null: never
  std::shared_ptr<std::int64_t> time = std::make_shared<std::int64_t>();  // of the clock
};

struct CUgraph_st {
  std::vector<calm_emulated::GraphNode> nodes;
};

struct CUgraphExec_st {
  // In the order they run in; launches that wait to be run have them too.
  std::shared_ptr<std::vector<std::function<void()>>> works;
};
