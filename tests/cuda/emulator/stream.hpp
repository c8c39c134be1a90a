// A stream: what is put on it happens when somebody waits for it, or goes into the graph that it is
// captured into.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

/// The libraries of products and of sums are of their own and meet the runtime's streams by this
/// alone.
struct CUstream_st {
  CUstream_st() = default;
  CUstream_st(const CUstream_st &) = delete;
  CUstream_st &operator=(const CUstream_st &) = delete;
  virtual ~CUstream_st() = default;
  virtual void submit(std::function<void()> work) = 0;
  /// Work that is tried until it returns true, and holds up the stream until then. Not captured.
  virtual void submit_until(std::function<bool()> work) = 0;
  /// The device's, in nanoseconds. It stands still but for work that says what it takes.
  virtual std::atomic<std::int64_t> &clock() = 0;
};

namespace calm_emulated {

inline void submit(CUstream_st *stream, std::function<void()> work) {
  if (stream == nullptr) {
    work();
  } else {
    stream->submit(std::move(work));
  }
}

}  // namespace calm_emulated
