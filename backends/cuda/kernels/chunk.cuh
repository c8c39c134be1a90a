// A chunk of 64 rows as a block sees it: where the sequences of its rows begin and end.
#pragma once

#include <calm/ops/selective_scan.h>

#include "cuda/kernels/device.cuh"

namespace calm::cuda {

inline constexpr int kChunk = CALM_SCAN_CHUNK;

/// In shared memory. Rows beyond the last sequence, dead ones, have sequence -1.
struct Chunk {
  int first;                 // row of the batch
  int sequence[kChunk + 1];  // one row more: whether the last sequence goes on
  int begin[kChunk + 1];     // of each row's sequence, clipped to the batch
  int end[kChunk + 1];

  __device__ bool dead(int r) const { return sequence[r] < 0; }
  __device__ bool starts(int r) const { return begin[r] == first + r; }
  __device__ bool ends(int r) const { return end[r] == first + r + 1; }
  /// Whether row 0 belongs to a sequence that began before it.
  __device__ bool continues() const { return !dead(0) && !starts(0); }
  /// Whether the sequence of the last row has rows behind the chunk.
  __device__ bool goes_on() const { return !dead(kChunk - 1) && end[kChunk - 1] > first + kChunk; }
};

/// Filled in by all threads of a block, a warp a sequence: sequences are apart, so every row has
/// one writer. Offsets that are no offsets of this batch are clipped, so that nothing is read or
/// written outside it.
__device__ inline void load_chunk(Chunk &chunk, int first, const std::int32_t *__restrict__ offsets,
                                  int sequences, int rows) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int r = static_cast<int>(threadIdx.x); r <= kChunk; r += static_cast<int>(blockDim.x)) {
    chunk.sequence[r] = -1;
    chunk.begin[r] = -1;
    chunk.end[r] = -1;
  }
  if (threadIdx.x == 0) {
    chunk.first = first;
  }
  __syncthreads();
  // A lane looks at one sequence; those with rows here are filled in by the whole warp.
  for (int s0 = static_cast<int>(threadIdx.x) - lane; s0 < sequences;
       s0 += static_cast<int>(blockDim.x)) {
    const int own = s0 + lane;
    const int own_begin = own < sequences ? max(offsets[own], 0) : 0;
    const int own_end = own < sequences ? min(offsets[own + 1], rows) : 0;
    unsigned found = __ballot_sync(kAll, max(own_begin, first) < min(own_end, first + kChunk + 1));
    while (found != 0) {
      const int from = __ffs(static_cast<int>(found)) - 1;
      found &= found - 1;
      const int begin = __shfl_sync(kAll, own_begin, from);
      const int end = __shfl_sync(kAll, own_end, from);
      const int last = min(end, first + kChunk + 1);
      for (int t = max(begin, first) + lane; t < last; t += kWarp) {
        chunk.sequence[t - first] = s0 + from;
        chunk.begin[t - first] = begin;
        chunk.end[t - first] = end;
      }
    }
  }
  __syncthreads();
}

}  // namespace calm::cuda
