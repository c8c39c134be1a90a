// A stream: what is put on it happens at once, or goes into the graph that it is captured into.
#pragma once

#include <functional>

/// The library of products is one of its own and meets the runtime's streams by this alone.
struct CUstream_st {
  CUstream_st() = default;
  CUstream_st(const CUstream_st &) = delete;
  CUstream_st &operator=(const CUstream_st &) = delete;
  virtual ~CUstream_st() = default;
  virtual void submit(std::function<void()> work) = 0;
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
