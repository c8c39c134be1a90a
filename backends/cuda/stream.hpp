// Streams and events of the runtime, given back at the end of life.
#pragma once

#include <cuda_runtime.h>

namespace calm::cuda {

class Ranks;

enum class Priority { kLeast, kGreater, kGreatest };

class Stream {
 public:
  explicit Stream(Priority priority = Priority::kLeast);
  ~Stream();
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;
  cudaStream_t handle() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  Event();
  ~Event();
  Event(const Event &) = delete;
  Event &operator=(const Event &) = delete;
  void record(cudaStream_t stream);
  /// What `stream` is given from now on begins after what was recorded.
  void hold(cudaStream_t stream);
  /// `ranks`: null for a process alone. Throws DEVICE_LOST when one of them is gone.
  void wait(Ranks *ranks);

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace calm::cuda
