// Small ranges of the host's memory to the device by a kernel that reads them there. A copy engine
// needs 4 to 9 us from the end of one graph to the beginning of the next for each of them.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace calm::cuda {

/// `from`: page-locked, aligned to 16 bytes, readable to the end of the last 16 that it begins.
struct Fetch {
  const std::byte *from;
  std::byte *to;
  std::uint64_t bytes;
};

inline constexpr std::size_t kMostFetches = 16;

/// All of them in one launch, in no order. n <= kMostFetches, no range is empty, none overlaps
/// another.
void fetch(const Fetch *list, std::size_t n, cudaStream_t stream);

}  // namespace calm::cuda
