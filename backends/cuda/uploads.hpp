// What the host writes to the device. It goes through page-locked memory. Small writes, as those of
// a batch, wait there for what the stream is given next and then go by one kernel together.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "cuda/kernels/fetch.hpp"
#include "cuda/memory.hpp"
#include "cuda/stream.hpp"

namespace calm::cuda {

class Uploads {
 public:
  /// `ranks`: null for a process alone.
  Uploads(cudaStream_t stream, Ranks *ranks);

  /// Writes to `dst` before whatever is put on the stream after the next flush(). `src` may be
  /// reused on return.
  void add(std::byte *dst, const void *src, std::uint64_t bytes);
  /// The same of page-locked memory that stays as it is until the stream has come by: Fetch::from.
  void add_pinned(std::byte *dst, const std::byte *src, std::uint64_t bytes);
  /// Puts what waits on the stream. Comes before all that reads or writes memory which may have
  /// been written to; never in a capture.
  void flush();
  /// Forgets what waits to be written to memory that ends.
  void forget(const DeviceMemory &memory);

 private:
  /// Half of the memory that uploads go through: free again when its event has passed.
  struct Half {
    PinnedMemory memory;
    std::uint64_t used = 0;
    Event freed;
  };
  /// One with room.
  Half &half();

  cudaStream_t stream_;
  Ranks *ranks_;
  std::array<Half, 2> halves_;
  std::size_t half_ = 0;
  std::array<Fetch, kMostFetches> waiting_{};
  std::size_t count_ = 0;
};

}  // namespace calm::cuda
