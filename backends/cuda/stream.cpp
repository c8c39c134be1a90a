#include "cuda/stream.hpp"

#include <algorithm>

#include "cuda/error.hpp"
#include "cuda/ranks.hpp"

namespace calm::cuda {

Stream::Stream(Priority priority) {
  int least = 0;  // the higher the priority, the smaller the number
  int greatest = 0;
  check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "making a stream");
  const int chosen = priority == Priority::kLeast     ? least
                     : priority == Priority::kGreater ? std::min(least, greatest + 1)
                                                      : greatest;
  check(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, chosen), "making a stream");
}
Stream::~Stream() {
  static_cast<void>(cudaStreamSynchronize(stream_));
  static_cast<void>(cudaStreamDestroy(stream_));
}

Event::Event() {
  check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "making an event");
}
Event::~Event() { static_cast<void>(cudaEventDestroy(event_)); }
void Event::record(cudaStream_t stream) {
  check(cudaEventRecord(event_, stream), "recording an event");
}
void Event::hold(cudaStream_t stream) {
  check(cudaStreamWaitEvent(stream, event_, 0), "ordering streams");
}
void Event::wait(Ranks *ranks) {
  if (ranks != nullptr) {
    ranks->wait(event_);
  } else {
    check(cudaEventSynchronize(event_), "waiting for the device");
  }
}

}  // namespace calm::cuda
