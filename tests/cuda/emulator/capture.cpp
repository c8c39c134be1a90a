#include "tests/cuda/emulator/capture.hpp"

#include <sched.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "tests/cuda/emulator/block.hpp"

namespace calm_emulated {

namespace {

std::recursive_mutex streams_lock;
std::vector<Stream *> streams;  // in the order they were made in

/// Whether a stream went on.
bool go_on(Stream *stream) {
  if (stream->works.empty()) {
    return false;
  }
  try {
    if (!stream->works.front()()) {
      return false;
    }
  } catch (...) {
    stream->works.pop_front();
    throw;
  }
  stream->works.pop_front();
  return true;
}

void wait_until(const std::function<bool()> &done) {
  while (!run_until(done)) {
    ::sched_yield();
  }
}

}  // namespace

Stream::Stream() {
  const std::lock_guard lock(streams_lock);
  streams.push_back(this);
}

Stream::~Stream() {
  const std::lock_guard lock(streams_lock);
  streams.erase(std::find(streams.begin(), streams.end(), this));
}

void Stream::submit(std::function<void()> work) {
  if (capture != nullptr) {
    capture->nodes.push_back({std::move(work), std::exchange(front, {capture->nodes.size()})});
    return;
  }
  submit_until([work = std::move(work)] {
    work();
    return true;
  });
}

void Stream::submit_until(std::function<bool()> work) {
  if (capture != nullptr) {
    throw Failure("work was captured that cannot be");
  }
  const std::lock_guard lock(streams_lock);
  works.push_back(std::move(work));
}

bool run_until(const std::function<bool()> &done) {
  const std::lock_guard lock(streams_lock);
  while (!done()) {
    const bool some = backward() ? std::any_of(streams.rbegin(), streams.rend(), go_on)
                                 : std::any_of(streams.begin(), streams.end(), go_on);
    if (!some) {
      return false;
    }
  }
  return true;
}

void finish_all() {
  wait_until([] {
    return std::all_of(streams.begin(), streams.end(),
                       [](const Stream *stream) { return stream->works.empty(); });
  });
}

std::atomic<std::int64_t> &Stream::clock() {
  static std::atomic<std::int64_t> nanoseconds{0};
  return nanoseconds;
}

namespace {

void add(std::vector<std::size_t> &to, const std::vector<std::size_t> &from) {
  for (const std::size_t node : from) {
    if (std::find(to.begin(), to.end(), node) == to.end()) {
      to.push_back(node);
    }
  }
}

/// Whether all nodes come before those of `front`, or are them.
bool all_before(const std::vector<GraphNode> &nodes, const std::vector<std::size_t> &front) {
  std::vector<bool> before(nodes.size());
  for (const std::size_t node : front) {
    before[node] = true;
  }
  for (std::size_t i = nodes.size(); i-- > 0;) {  // later ones come after earlier ones
    for (const std::size_t other : before[i] ? nodes[i].after : std::vector<std::size_t>()) {
      before[other] = true;
    }
  }
  return std::find(before.begin(), before.end(), false) == before.end();
}

/// As they were put there; backward: of those that may run, always the one put there last, so that
/// what is missing between two streams is missed.
std::vector<std::size_t> order_of(const std::vector<GraphNode> &nodes) {
  std::vector<std::size_t> order;
  std::vector<bool> done(nodes.size());
  const auto ready = [&](std::size_t i) {
    return !done[i] && std::all_of(nodes[i].after.begin(), nodes[i].after.end(),
                                   [&](std::size_t other) { return done[other]; });
  };
  while (order.size() < nodes.size()) {
    std::size_t i = backward() ? nodes.size() - 1 : order.size();
    while (!ready(i)) {
      --i;
    }
    done[i] = true;
    order.push_back(i);
  }
  return order;
}

}  // namespace
}  // namespace calm_emulated

using calm_emulated::Capture;
using calm_emulated::leave_error;
using calm_emulated::Stream;
using calm_emulated::stream_of;

cudaError_t cudaStreamCreate(cudaStream_t *stream) {
  *stream = new Stream;
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
  return cudaStreamCreate(stream);
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned, int) {
  return cudaStreamCreate(stream);
}
cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  cudaStreamSynchronize(stream);
  delete stream_of(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  cudaError_t state = cudaStreamQuery(stream);
  for (; state == cudaErrorNotReady; state = cudaStreamQuery(stream)) {
    ::sched_yield();
    cudaGetLastError();
  }
  return state;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  if (stream == nullptr) {
    return cudaSuccess;
  }
  if (stream_of(stream)->capture != nullptr) {
    return leave_error(cudaErrorStreamCaptureUnsupported);
  }
  const bool done = calm_emulated::run_until([stream] { return stream_of(stream)->works.empty(); });
  return leave_error(done ? cudaSuccess : cudaErrorNotReady);
}
cudaError_t cudaDeviceSynchronize() {
  calm_emulated::finish_all();
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t *event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->captured = stream != nullptr && stream_of(stream)->capture != nullptr;
  event->capture.reset();
  event->passed.reset();
  event->front.clear();
  if (event->captured) {
    event->capture = stream_of(stream)->capture;
    event->front = stream_of(stream)->front;
    return cudaSuccess;
  }
  event->passed = std::make_shared<bool>(stream == nullptr);
  event->time = std::make_shared<std::int64_t>();
  if (stream != nullptr) {
    stream->submit([passed = event->passed, time = event->time, &clock = stream->clock()] {
      *time = clock;
      *passed = true;
    });
  }
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (event->captured) {
    return leave_error(cudaErrorCapturedEvent);
  }
  const std::shared_ptr<bool> passed = event->passed;
  const bool done = passed == nullptr || calm_emulated::run_until([passed] { return *passed; });
  return leave_error(done ? cudaSuccess : cudaErrorNotReady);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  cudaError_t state = cudaEventQuery(event);
  for (; state == cudaErrorNotReady; state = cudaEventQuery(event)) {
    ::sched_yield();
    cudaGetLastError();
  }
  return state;
}
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to) {
  *milliseconds = static_cast<float>(*to->time - *from->time) * 1e-6F;
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  Stream *const stream = stream_of(handle);
  const std::shared_ptr<Capture> capture = event->capture.lock();
  if (event->captured && capture == nullptr) {
    return leave_error(cudaErrorCapturedEvent);
  }
  if (stream->capture == nullptr && capture != nullptr) {
    stream->capture = capture;
    stream->front.clear();
    capture->joined.push_back(stream);
  }
  if (stream->capture != capture) {
    return leave_error(cudaErrorStreamCaptureIsolation);
  }
  if (capture == nullptr) {
    if (event->passed != nullptr) {
      stream->submit_until([passed = event->passed] { return *passed; });
    }
    return cudaSuccess;
  }
  calm_emulated::add(stream->front, event->front);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode) {
  Stream *const stream = stream_of(handle);
  if (stream == nullptr || stream->capture != nullptr) {
    return leave_error(cudaErrorIllegalState);
  }
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = stream;
  stream->capture->joined = {stream};
  stream->front.clear();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *graph) {
  *graph = nullptr;
  const std::shared_ptr<Capture> capture = stream_of(handle)->capture;
  if (capture == nullptr) {
    return leave_error(cudaErrorIllegalState);
  }
  if (capture->origin != handle) {
    return leave_error(cudaErrorStreamCaptureUnmatched);
  }
  const bool whole = calm_emulated::all_before(capture->nodes, stream_of(handle)->front);
  for (CUstream_st *const stream : capture->joined) {
    stream_of(stream)->capture = nullptr;
  }
  if (!whole) {
    return leave_error(cudaErrorStreamCaptureUnjoined);
  }
  *graph = new CUgraph_st{std::move(capture->nodes)};
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status) {
  *status = stream_of(stream)->capture == nullptr ? cudaStreamCaptureStatusNone
                                                  : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *made, cudaGraph_t graph, unsigned long long) {
  *made = new CUgraphExec_st{std::make_shared<std::vector<std::function<void()>>>()};
  for (const std::size_t i : calm_emulated::order_of(graph->nodes)) {
    (*made)->works->push_back(graph->nodes[i].work);
  }
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  calm_emulated::submit(stream, [works = graph->works] {
    for (const std::function<void()> &work : *works) {
      work();
    }
  });
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, std::size_t *count) {
  *count = graph->nodes.size();
  return leave_error(nodes == nullptr ? cudaSuccess : cudaErrorNotSupported);
}
