// Sizes and layout that the selective scan and its gradient share.
//
// A thread holds 4 states of one channel; kLanes threads side by side hold all states of a channel
// (4 for up to 16 states, 16 for up to 64). A block is 128 threads on one chunk of 64 rows; chunks
// work side by side, what crosses them is a state (or its gradient) that a small launch passes on:
// through a whole chunk a state is multiplied by exp(a * sum of delta).
#pragma once

#include <calm/ops/selective_scan.h>

#include "cuda/kernels/chunk.cuh"

namespace calm::cuda {

inline constexpr int kScanThreads = 128;
inline constexpr int kOwnStates = 4;  // of a thread
inline constexpr int kMostStates = 64;
inline constexpr int kUsualStates = 16;

template <int kLanes>
inline constexpr int kScanChannels = kScanThreads / kLanes;  // of a block
template <int kLanes>
inline constexpr int kPaddedStates = kOwnStates *kLanes;

struct ScanShape {
  const float *x, *delta, *a, *b, *c, *d;
  const std::int32_t *offsets;
  int rows, channels, states, sequences, chunks;

  __host__ __device__ std::size_t state_size() const {
    return static_cast<std::size_t>(channels) * static_cast<std::size_t>(states);
  }
};

inline ScanShape scan_shape(const Launch &launch) {
  ScanShape s{};
  s.x = launch.in<float>(CALM_SELECTIVE_SCAN_X);
  s.delta = launch.in<float>(CALM_SELECTIVE_SCAN_DELTA);
  s.a = launch.in<float>(CALM_SELECTIVE_SCAN_A);
  s.b = launch.in<float>(CALM_SELECTIVE_SCAN_B);
  s.c = launch.in<float>(CALM_SELECTIVE_SCAN_C);
  s.d = launch.in<float>(CALM_SELECTIVE_SCAN_D);
  s.offsets = launch.in<std::int32_t>(CALM_SELECTIVE_SCAN_OFFSETS);
  s.rows = launch.extent(CALM_SELECTIVE_SCAN_X, 0);
  s.channels = launch.extent(CALM_SELECTIVE_SCAN_X, 1);
  s.states = launch.extent(CALM_SELECTIVE_SCAN_A, 1);
  s.sequences = launch.extent(CALM_SELECTIVE_SCAN_OFFSETS, 0) - 1;
  s.chunks = div_up(s.rows, kChunk);
  return s;
}

/// Threads side by side that hold the states of a channel.
inline int lanes_of(std::size_t states) { return states <= kUsualStates ? 4 : 16; }

/// tile[r, i] = rows of a chunk, `columns` from `first` on of `width`; 0 in dead rows and beyond
/// the last column. All of a thread's loads are under way before the first is used: none depends on
/// a branch, those without a cell of their own read another.
template <int kColumns>
__device__ inline void load_tile(float *tile, const Chunk &chunk, const float *__restrict__ from,
                                 int first, int width, int rows) {
  constexpr int kEach = kChunk * kColumns / kScanThreads;
  const int tid = static_cast<int>(threadIdx.x);
  float loaded[kEach];
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    const int i = tid + k * kScanThreads;
    const int t = min(chunk.first + i / kColumns, rows - 1);
    const int column = min(first + i % kColumns, width - 1);
    loaded[k] = from[static_cast<std::size_t>(t) * static_cast<std::size_t>(width) +
                     static_cast<std::size_t>(column)];
  }
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    const int i = tid + k * kScanThreads;
    const bool live = !chunk.dead(i / kColumns) && first + i % kColumns < width;
    tile[i] = live ? loaded[k] : 0;
  }
}

/// The other way, for rows of the batch.
template <int kColumns>
__device__ inline void store_tile(const float *tile, const Chunk &chunk, int rows,
                                  float *__restrict__ to, int first, int width) {
#pragma unroll
  for (int k = 0; k < kChunk * kColumns / kScanThreads; ++k) {
    const int i = static_cast<int>(threadIdx.x) + k * kScanThreads;
    const int t = chunk.first + i / kColumns;
    const int column = first + i % kColumns;
    if (t < rows && column < width) {
      to[static_cast<std::size_t>(t) * static_cast<std::size_t>(width) +
         static_cast<std::size_t>(column)] = tile[i];
    }
  }
}

/// A thread's states of a channel of [E, N], 0 beyond the last.
struct Own {
  int channel, state;  // the first of its states
  bool live;           // the channel exists
  __device__ std::size_t at(const ScanShape &s, int j) const {
    return static_cast<std::size_t>(channel) * static_cast<std::size_t>(s.states) +
           static_cast<std::size_t>(state + j);
  }
  __device__ bool has(const ScanShape &s, int j) const { return live && state + j < s.states; }
  __device__ void load(const ScanShape &s, const float *from, float (&to)[kOwnStates]) const {
#pragma unroll
    for (int j = 0; j < kOwnStates; ++j) {
      to[j] = from != nullptr && has(s, j) ? from[at(s, j)] : 0;
    }
  }
  __device__ void store(const ScanShape &s, const float (&from)[kOwnStates], float *to) const {
#pragma unroll
    for (int j = 0; j < kOwnStates; ++j) {
      if (has(s, j)) {
        to[at(s, j)] = from[j];
      }
    }
  }
};

/// A thread's four states of a row of a tile.
struct Four {
  float v[kOwnStates];
  __device__ explicit Four(const float *from) {
    const float4 four = *reinterpret_cast<const float4 *>(from);
    v[0] = four.x;
    v[1] = four.y;
    v[2] = four.z;
    v[3] = four.w;
  }
  __device__ float operator[](int j) const { return v[j]; }
};

/// a log2 e: exp(a delta) is 2 to the power of that times delta.
__device__ inline void load_log2(const ScanShape &s, const Own &own, float (&a)[kOwnStates]) {
  own.load(s, s.a, a);
#pragma unroll
  for (int j = 0; j < kOwnStates; ++j) {
    a[j] *= kLog2e;
  }
}

/// What a chunk alone leaves for its neighbour: a state (or its gradient), and the sum of delta.
__device__ inline void store_alone(const ScanShape &s, const Own &own, int chunk,
                                   const float (&state)[kOwnStates], float sum, float *states,
                                   float *delta_sum) {
  own.store(s, state, states + static_cast<std::size_t>(chunk) * s.state_size());
  if (own.live && own.state == 0) {
    delta_sum[static_cast<std::size_t>(chunk) * static_cast<std::size_t>(s.channels) +
              static_cast<std::size_t>(own.channel)] = sum;
  }
}

template <int kLanes>
__device__ inline Own own_of(const ScanShape &s, int first_channel) {
  const int channel = first_channel + static_cast<int>(threadIdx.x) / kLanes;
  return {channel, static_cast<int>(threadIdx.x) % kLanes * kOwnStates, channel < s.channels};
}

/// Four sums over the lanes of a channel: lane l of every four gets v[l].
template <int kLanes>
__device__ inline float sum_lanes(const float (&v)[4]) {
  const bool odd = (threadIdx.x & 1U) != 0;
  const bool upper = (threadIdx.x & 2U) != 0;
  const float even_row = (odd ? v[1] : v[0]) + __shfl_xor_sync(kAll, odd ? v[0] : v[1], 1);
  const float odd_row = (odd ? v[3] : v[2]) + __shfl_xor_sync(kAll, odd ? v[2] : v[3], 1);
  float sum = (upper ? odd_row : even_row) + __shfl_xor_sync(kAll, upper ? even_row : odd_row, 2);
#pragma unroll
  for (int step = 4; step < kLanes; step *= 2) {
    sum += __shfl_xor_sync(kAll, sum, step);
  }
  return sum;
}

/// Bit r: row r begins a sequence.
__device__ inline std::uint64_t starts_of(const Chunk &chunk) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::uint64_t low = __ballot_sync(kAll, !chunk.dead(lane) && chunk.starts(lane));
  const std::uint64_t high =
      __ballot_sync(kAll, !chunk.dead(lane + kWarp) && chunk.starts(lane + kWarp));
  return low | (high << kWarp);
}

}  // namespace calm::cuda
