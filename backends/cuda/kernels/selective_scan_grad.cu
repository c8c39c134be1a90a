// Gradient of the selective scan (spec E.6). With g[t] = dL/dy[t], w[t] = exp(delta[t] a):
//   dh[t]      = c[t] g[t] + w[t+1] dh[t+1]
//   grad_x     = d g + sum over n of dh delta b
//   grad_delta = sum over n of dh (a w h[t-1] + b x)
//   grad_a     = sum over rows of dh delta w h[t-1],      grad_d = sum over rows of g x
//   grad_b     = sum over channels of dh delta x,         grad_c = sum over channels of g h[t]
//
// As forward, chunks of 64 rows work side by side: what a chunk alone hands to the chunk before it
// (w dh of its first row), those values in order from the last chunk to the first, then everything
// from `bounds`: forward through the chunk keeping h at every 8th row, then 8 rows at a time from
// the last: forward again keeping h and w in registers, and back. Sums over channels go by
// shuffles, warps in order, blocks in order; sums over rows by chunks in order.
#include <algorithm>

#include "cuda/error.hpp"
#include "cuda/kernels/selective_scan.cuh"

namespace calm::cuda {

std::size_t selective_scan_plan(const Node &node);

namespace {

constexpr int kSub = 8;  // rows whose states are in registers at a time
constexpr int kSubs = kChunk / kSub;
constexpr int kScanWarps = kScanThreads / kWarp;
constexpr int kEnoughBlocks = 528;  // four for every multiprocessor of the largest cards

struct Backward : ScanShape {
  const float *bounds, *grad;
  float *grad_x, *grad_delta;
  float *local;      // [chunks, E, N]: what a chunk alone hands back
  float *carry;      // [chunks, E, N]: what a chunk gets from the one behind it
  float *delta_sum;  // [chunks, E]
  float *sums;       // [chunks, E N + E]: grad_a, grad_d
  float *rows_sums;  // [groups, T, 2 N]: grad_b, grad_c
  int groups;        // of blocks of channels
  int blocks;        // of channels that one block of threads does, one after another
};

template <int kLanes>
__global__ void __launch_bounds__(kScanThreads) local_kernel(Backward o) {
  constexpr int kChannels = kScanChannels<kLanes>;
  constexpr int kStates = kPaddedStates<kLanes>;
  __shared__ Chunk chunk;
  __shared__ float tile_grad[kChunk * kChannels];
  __shared__ float tile_delta[kChunk * kChannels];
  __shared__ __align__(16) float tile_c[kChunk * kStates];
  const int index = static_cast<int>(blockIdx.x);
  load_chunk(chunk, index * kChunk, o.offsets, o.sequences, o.rows);
  if (!chunk.continues()) {
    return;
  }
  const int first_channel = static_cast<int>(blockIdx.y) * kChannels;
  load_tile<kChannels>(tile_grad, chunk, o.grad, first_channel, o.channels, o.rows);
  load_tile<kChannels>(tile_delta, chunk, o.delta, first_channel, o.channels, o.rows);
  load_tile<kStates>(tile_c, chunk, o.c, 0, o.states, o.rows);
  const Own own = own_of<kLanes>(o, first_channel);
  float a[kOwnStates];
  load_log2(o, own, a);
  float carry[kOwnStates] = {};
  float sum = 0;
  const int end = min(kChunk, chunk.end[0] - chunk.first);
  __syncthreads();
  const int lane_channel = static_cast<int>(threadIdx.x) / kLanes;
#pragma unroll 4
  for (int r = end - 1; r >= 0; --r) {
    const float delta = tile_delta[r * kChannels + lane_channel];
    const float g = tile_grad[r * kChannels + lane_channel];
    const Four c(tile_c + r * kStates + own.state);
    sum += delta;
#pragma unroll
    for (int j = 0; j < kOwnStates; ++j) {
      carry[j] = exp2_fast(delta * a[j]) * (c[j] * g + carry[j]);
    }
  }
  store_alone(o, own, index, carry, sum, o.local, o.delta_sum);
}

/// One thread a state of a sequence.
__global__ void __launch_bounds__(kThreads) carry_kernel(Backward o) {
  const std::size_t i = static_cast<std::size_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::size_t size = o.state_size();
  if (i >= size * static_cast<std::size_t>(o.sequences)) {
    return;
  }
  const auto s = static_cast<int>(i / size);
  const std::size_t cell = i % size;
  const std::size_t channel = cell / static_cast<std::size_t>(o.states);
  const int begin = min(max(o.offsets[s], 0), o.rows);
  const int end = min(max(o.offsets[s + 1], 0), o.rows);
  if (end <= begin) {
    return;
  }
  const int first = begin / kChunk;
  const int last = (end - 1) / kChunk;
  const float a = o.a[cell] * kLog2e;
  float carry = 0;
  for (int c = last; c > first; --c) {
    const float sum =
        o.delta_sum[static_cast<std::size_t>(c) * static_cast<std::size_t>(o.channels) + channel];
    carry = o.local[static_cast<std::size_t>(c) * size + cell] + exp2_fast(a * sum) * carry;
    o.carry[static_cast<std::size_t>(c - 1) * size + cell] = carry;
  }
}

/// A block's shared memory.
template <int kLanes>
struct Shared {
  static constexpr int kChannels = kScanChannels<kLanes>;
  static constexpr int kStates = kPaddedStates<kLanes>;
  float4 h[kSubs][kScanThreads];  // before every 8th row
  float b[kChunk * kStates];
  float c[kChunk * kStates];
  float x[kChunk * kChannels];     // becomes grad_delta
  float grad[kChunk * kChannels];  // becomes grad_x
  float delta[kChunk * kChannels];
  float warps[kScanWarps][kSub][2 * kStates];  // grad_b and grad_c over a warp's channels
  float rows[kChunk][2 * kStates];             // and over all channels so far
  Chunk chunk;
};

/// Sums of v over the channels of a warp: afterwards a lane has 8 / channels of the sums, from
/// number `first` on.
template <int kLanes>
__device__ int sum_channels(float (&v)[2 * kOwnStates]) {
  int first = 0;
  int half = 2 * kOwnStates;
#pragma unroll
  for (int step = kLanes; step < kWarp; step *= 2) {
    half /= 2;
    const bool upper = (static_cast<int>(threadIdx.x) & step) != 0;
#pragma unroll
    for (int i = 0; i < half; ++i) {
      const float sent = upper ? v[i] : v[i + half];
      v[i] = (upper ? v[i + half] : v[i]) + __shfl_xor_sync(kAll, sent, step);
    }
    first += upper ? half : 0;
  }
  return first;
}

/// Eight rows of a thread's states: forward from `h`, then back from `carry`.
template <int kLanes>
__device__ void sub_chunk(Shared<kLanes> &shared, const Own &own, int sub, std::uint64_t starts,
                          float skip, const float (&a)[kOwnStates],
                          const float (&a_log2)[kOwnStates], float (&carry)[kOwnStates],
                          float (&grad_a)[kOwnStates], float &grad_d) {
  constexpr int kChannels = kScanChannels<kLanes>;
  constexpr int kStates = kPaddedStates<kLanes>;
  const int lane_channel = static_cast<int>(threadIdx.x) / kLanes;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  float before[kSub][kOwnStates];
  float w[kSub][kOwnStates];
  const float4 h4 = shared.h[sub][threadIdx.x];
  float h[kOwnStates] = {h4.x, h4.y, h4.z, h4.w};
#pragma unroll
  for (int k = 0; k < kSub; ++k) {
    const int r = sub * kSub + k;
    const float delta = shared.delta[r * kChannels + lane_channel];
    const float u = delta * shared.x[r * kChannels + lane_channel];
    const Four b(shared.b + r * kStates + own.state);
    const bool start = ((starts >> r) & 1U) != 0;
#pragma unroll
    for (int j = 0; j < kOwnStates; ++j) {
      before[k][j] = start ? 0 : h[j];
      w[k][j] = exp2_fast(delta * a_log2[j]);
      h[j] = w[k][j] * before[k][j] + u * b[j];
    }
  }
  float of_two[4];  // dh b and dh a w h[t-1] over this thread's states, of two rows
#pragma unroll
  for (int k = kSub - 1; k >= 0; --k) {
    const int r = sub * kSub + k;
    const float delta = shared.delta[r * kChannels + lane_channel];
    const float x = shared.x[r * kChannels + lane_channel];
    const float g = shared.grad[r * kChannels + lane_channel];
    const float u = delta * x;
    const Four b(shared.b + r * kStates + own.state);
    const Four c(shared.c + r * kStates + own.state);
    const bool start = ((starts >> r) & 1U) != 0;
    float v[2 * kOwnStates];
    float dh_b = 0;
    float dh_aw = 0;
#pragma unroll
    for (int j = 0; j < kOwnStates; ++j) {
      const float dh = c[j] * g + carry[j];
      const float wh = w[k][j] * before[k][j];
      const float kept = dh * wh;
      dh_b += dh * b[j];
      dh_aw += kept * a[j];
      grad_a[j] += kept * delta;
      carry[j] = start ? 0 : w[k][j] * dh;
      v[j] = dh * u;
      v[kOwnStates + j] = g * (wh + u * b[j]);
    }
    grad_d += g * x;
    const int first = sum_channels<kLanes>(v);
#pragma unroll
    for (int i = 0; i < 2 * kOwnStates * kLanes / kWarp; ++i) {
      const int number = first + i;  // of the eight: four of grad_b, four of grad_c
      const int column =
          number < kOwnStates ? own.state + number : kStates + own.state + number - kOwnStates;
      shared.warps[warp][k][column] = v[i];
    }
    of_two[k % 2 == 1 ? 0 : 2] = dh_b;
    of_two[k % 2 == 1 ? 1 : 3] = dh_aw;
    if (k % 2 == 0) {
      const float sum =
          sum_lanes<kLanes>(of_two);  // lanes 0 and 1: row r + 1, lanes 2 and 3: row r
      const float other = __shfl_xor_sync(kAll, sum, 1);
      const int cell = (lane < 2 ? r + 1 : r) * kChannels + lane_channel;
      const float own_delta = shared.delta[cell];
      const float own_x = shared.x[cell];
      const float own_grad = shared.grad[cell];
      __syncwarp();
      if (lane == 0 || lane == 2) {
        shared.grad[cell] = skip * own_grad + own_delta * sum;
      } else if (lane == 1 || lane == 3) {
        shared.x[cell] = sum + own_x * other;
      }
      __syncwarp();
    }
  }
}

/// All of a block's channels from `first_channel` on through the chunk.
template <int kLanes>
__device__ void scan_channels(const Backward &o, Shared<kLanes> &shared, int index,
                              int first_channel, bool first_block) {
  constexpr int kChannels = kScanChannels<kLanes>;
  constexpr int kStates = kPaddedStates<kLanes>;
  const Chunk &chunk = shared.chunk;
  load_tile<kChannels>(shared.x, chunk, o.x, first_channel, o.channels, o.rows);
  load_tile<kChannels>(shared.delta, chunk, o.delta, first_channel, o.channels, o.rows);
  load_tile<kChannels>(shared.grad, chunk, o.grad, first_channel, o.channels, o.rows);
  const Own own = own_of<kLanes>(o, first_channel);
  const std::size_t at = static_cast<std::size_t>(index) * o.state_size();
  float a[kOwnStates];
  float a_log2[kOwnStates];
  float h[kOwnStates];
  float carry[kOwnStates];
  own.load(o, o.a, a);
  own.load(o, chunk.continues() ? o.bounds + at : nullptr, h);
  own.load(o, chunk.goes_on() ? o.carry + at : nullptr, carry);
  const float skip = own.live ? o.d[own.channel] : 0;
  const std::uint64_t starts = starts_of(chunk);
#pragma unroll
  for (int j = 0; j < kOwnStates; ++j) {
    a_log2[j] = a[j] * kLog2e;
  }
  __syncthreads();
  const int lane_channel = static_cast<int>(threadIdx.x) / kLanes;
#pragma unroll 1
  for (int sub = 0; sub < kSubs; ++sub) {
    shared.h[sub][threadIdx.x] = make_float4(h[0], h[1], h[2], h[3]);
    if (sub + 1 == kSubs) {
      break;
    }
#pragma unroll
    for (int k = 0; k < kSub; ++k) {
      const int r = sub * kSub + k;
      const float delta = shared.delta[r * kChannels + lane_channel];
      const float u = delta * shared.x[r * kChannels + lane_channel];
      const Four b(shared.b + r * kStates + own.state);
      const bool start = ((starts >> r) & 1U) != 0;
#pragma unroll
      for (int j = 0; j < kOwnStates; ++j) {
        h[j] = exp2_fast(delta * a_log2[j]) * (start ? 0 : h[j]) + u * b[j];
      }
    }
  }
  float grad_a[kOwnStates] = {};
  float grad_d = 0;
#pragma unroll 1
  for (int sub = kSubs - 1; sub >= 0; --sub) {
    sub_chunk<kLanes>(shared, own, sub, starts, skip, a, a_log2, carry, grad_a, grad_d);
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < kSub * 2 * kStates; i += kScanThreads) {
      const int k = i / (2 * kStates);
      const int column = i % (2 * kStates);
      float sum = first_block ? 0 : shared.rows[sub * kSub + k][column];
#pragma unroll
      for (int warp = 0; warp < kScanWarps; ++warp) {
        sum += shared.warps[warp][k][column];
      }
      shared.rows[sub * kSub + k][column] = sum;
    }
    __syncthreads();
  }
  float *const sums = o.sums + static_cast<std::size_t>(index) *
                                   (o.state_size() + static_cast<std::size_t>(o.channels));
  own.store(o, grad_a, sums);
  if (own.live && own.state == 0) {
    sums[o.state_size() + static_cast<std::size_t>(own.channel)] = grad_d;
  }
  if (o.grad_x != nullptr) {
    store_tile<kChannels>(shared.grad, chunk, o.rows, o.grad_x, first_channel, o.channels);
  }
  if (o.grad_delta != nullptr) {
    store_tile<kChannels>(shared.x, chunk, o.rows, o.grad_delta, first_channel, o.channels);
  }
  __syncthreads();  // before the next channels
}

template <int kLanes>
__global__ void __launch_bounds__(kScanThreads) scan_kernel(Backward o) {
  constexpr int kStates = kPaddedStates<kLanes>;
  extern __shared__ __align__(16) unsigned char memory[];
  auto &shared = *reinterpret_cast<Shared<kLanes> *>(memory);
  const int index = static_cast<int>(blockIdx.x);
  load_chunk(shared.chunk, index * kChunk, o.offsets, o.sequences, o.rows);
  load_tile<kStates>(shared.b, shared.chunk, o.b, 0, o.states, o.rows);
  load_tile<kStates>(shared.c, shared.chunk, o.c, 0, o.states, o.rows);
  const int group = static_cast<int>(blockIdx.y);
  for (int block = 0; block < o.blocks; ++block) {
    const int first_channel = (group * o.blocks + block) * kScanChannels<kLanes>;
    if (first_channel < o.channels) {
      scan_channels<kLanes>(o, shared, index, first_channel, block == 0);
    }
  }
  const int width = 2 * o.states;
  for (int i = static_cast<int>(threadIdx.x); i < kChunk * width; i += kScanThreads) {
    const int r = i / width;
    const int column = i % width;
    if (shared.chunk.first + r < o.rows) {
      o.rows_sums[(static_cast<std::size_t>(group) * static_cast<std::size_t>(o.rows) +
                   static_cast<std::size_t>(shared.chunk.first + r)) *
                      static_cast<std::size_t>(width) +
                  static_cast<std::size_t>(column)] =
          shared.rows[r][column < o.states ? column : kStates + column - o.states];
    }
  }
}

/// grad_b and grad_c: the groups' sums, added in order.
__global__ void __launch_bounds__(kThreads)
    rows_kernel(const float *__restrict__ sums, int groups, int rows, int states, float *grad_b,
                float *grad_c) {
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  const int width = 2 * states;
  if (i >= rows * width) {
    return;
  }
  float sum = 0;
  for (int group = 0; group < groups; ++group) {
    sum += sums[static_cast<std::size_t>(group) * static_cast<std::size_t>(rows * width) +
                static_cast<std::size_t>(i)];
  }
  const int t = i / width;
  const int column = i % width;
  float *const out = column < states ? grad_b : grad_c;
  if (out != nullptr) {
    out[t * states + (column < states ? column : column - states)] = sum;
  }
}

/// How many groups of channels work side by side: enough to fill the card, no more, since each
/// costs a copy of grad_b and grad_c.
int groups_of(int chunks, int channels, int lanes) {
  const int blocks = div_up(channels, kScanThreads / lanes);
  const int wanted = std::clamp(div_up(kEnoughBlocks, std::max(chunks, 1)), 1, std::max(blocks, 1));
  return div_up(blocks, div_up(blocks, wanted));
}

struct Work {
  float *local, *carry, *delta_sum, *sums, *rows_sums;
  Work(Scratch &scratch, std::size_t rows, std::size_t channels, std::size_t states, int groups)
      : local(scratch.take<float>(div_up<std::size_t>(rows, kChunk) * channels * states)),
        carry(scratch.take<float>(div_up<std::size_t>(rows, kChunk) * channels * states)),
        delta_sum(scratch.take<float>(div_up<std::size_t>(rows, kChunk) * channels)),
        sums(scratch.take<float>(div_up<std::size_t>(rows, kChunk) * channels * (states + 1))),
        rows_sums(scratch.take<float>(static_cast<std::size_t>(groups) * rows * 2 * states)) {}
};

template <int kLanes>
void run(const Backward &o, cudaStream_t stream) {
  const auto chunks = static_cast<unsigned>(o.chunks);
  const dim3 all(chunks, blocks_of(static_cast<std::size_t>(o.channels), kScanChannels<kLanes>));
  if (all.x == 0 || all.y == 0) {
    return;
  }
  if (o.chunks > 1) {
    local_kernel<kLanes><<<all, kScanThreads, 0, stream>>>(o);
    const std::size_t cells = o.state_size() * static_cast<std::size_t>(o.sequences);
    carry_kernel<<<blocks_of(cells, kThreads), kThreads, 0, stream>>>(o);
  }
  constexpr std::size_t kShared = sizeof(Shared<kLanes>);
  check(cudaFuncSetAttribute(scan_kernel<kLanes>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(kShared)),
        "asking for shared memory");
  scan_kernel<kLanes>
      <<<dim3(chunks, static_cast<unsigned>(o.groups)), kScanThreads, kShared, stream>>>(o);
}

}  // namespace

std::size_t selective_scan_grad_plan(const Node &node) {
  selective_scan_plan(node);  // the same sizes
  const std::size_t rows = node.extent(CALM_SELECTIVE_SCAN_X, 0);
  const std::size_t channels = node.extent(CALM_SELECTIVE_SCAN_X, 1);
  const std::size_t states = node.extent(CALM_SELECTIVE_SCAN_A, 1);
  Scratch scratch;
  const Work work(scratch, rows, channels, states,
                  groups_of(static_cast<int>(div_up<std::size_t>(rows, kChunk)),
                            static_cast<int>(channels), lanes_of(states)));
  return scratch.used();
}

void selective_scan_grad(const Launch &launch) {
  Backward o{};
  static_cast<ScanShape &>(o) = scan_shape(launch);
  o.bounds = launch.in<float>(CALM_SELECTIVE_SCAN_GRAD_BOUNDS);
  o.grad = launch.in<float>(CALM_SELECTIVE_SCAN_GRAD_GRAD);
  o.grad_x = launch.out<float>(0);
  o.grad_delta = launch.out<float>(1);
  const int lanes = lanes_of(static_cast<std::size_t>(o.states));
  const int blocks = div_up(o.channels, kScanThreads / lanes);
  o.groups = groups_of(o.chunks, o.channels, lanes);
  o.blocks = o.groups == 0 ? 0 : div_up(blocks, o.groups);
  Scratch scratch(launch.scratch());
  const Work work(scratch, static_cast<std::size_t>(o.rows), static_cast<std::size_t>(o.channels),
                  static_cast<std::size_t>(o.states), o.groups);
  o.local = work.local;
  o.carry = work.carry;
  o.delta_sum = work.delta_sum;
  o.sums = work.sums;
  o.rows_sums = work.rows_sums;
  if (lanes == 4) {
    run<4>(o, launch.stream());
  } else {
    run<16>(o, launch.stream());
  }
  const int cells = static_cast<int>(o.state_size());
  sum_columns(o.sums, o.chunks, cells + o.channels, launch.out<float>(2), cells,
              launch.out<float>(5), launch.stream());
  const std::size_t numbers =
      static_cast<std::size_t>(o.rows) * 2 * static_cast<std::size_t>(o.states);
  if (numbers > 0) {
    rows_kernel<<<blocks_of(numbers, kThreads), kThreads, 0, launch.stream()>>>(
        o.rows_sums, o.groups, o.rows, o.states, launch.out<float>(3), launch.out<float>(4));
  }
}

}  // namespace calm::cuda
