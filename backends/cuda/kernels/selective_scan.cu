// h[t, e, n] = exp(delta[t, e] a[e, n]) h[t-1, e, n] + delta[t, e] b[t, n] x[t, e]
// y[t, e]    = sum over n of c[t, n] h[t, e, n]  +  d[e] x[t, e]
// Gu & Dao, arXiv 2312.00752, algorithm 2; spec E.5.5.
//
// Three launches, all chunks of 64 rows side by side: the state that a chunk alone ends with; the
// states that chunks begin with, in order (`bounds`); the scan itself from there.
#include <calm/cpp/error.hpp>

#include <string>

#include "cuda/error.hpp"
#include "cuda/kernels/selective_scan.cuh"

namespace calm::cuda {
namespace {

struct Forward : ScanShape {
  const float *state_in;
  float *y, *bounds, *state_out;
  float *local;      // [chunks, E, N]: the last state of a chunk whose last sequence goes on
  float *delta_sum;  // [chunks, E]
};

template <int kLanes>
__global__ void __launch_bounds__(kScanThreads) local_kernel(Forward o) {
  constexpr int kChannels = kScanChannels<kLanes>;
  constexpr int kStates = kPaddedStates<kLanes>;
  __shared__ Chunk chunk;
  __shared__ float tile_x[kChunk * kChannels];
  __shared__ float tile_delta[kChunk * kChannels];
  __shared__ __align__(16) float tile_b[kChunk * kStates];
  const int index = static_cast<int>(blockIdx.x);
  load_chunk(chunk, index * kChunk, o.offsets, o.sequences, o.rows);
  if (!chunk.goes_on()) {
    return;
  }
  const int first_channel = static_cast<int>(blockIdx.y) * kChannels;
  load_tile<kChannels>(tile_x, chunk, o.x, first_channel, o.channels, o.rows);
  load_tile<kChannels>(tile_delta, chunk, o.delta, first_channel, o.channels, o.rows);
  load_tile<kStates>(tile_b, chunk, o.b, 0, o.states, o.rows);
  const Own own = own_of<kLanes>(o, first_channel);
  float a[kOwnStates];
  load_log2(o, own, a);
  float h[kOwnStates] = {};
  int first = 0;
  const int begin = chunk.begin[kChunk - 1];
  if (begin >= chunk.first) {
    first = begin - chunk.first;
    if (o.state_in != nullptr) {
      own.load(
          o, o.state_in + static_cast<std::size_t>(chunk.sequence[kChunk - 1]) * o.state_size(), h);
    }
  }
  __syncthreads();
  float sum = 0;
  const int lane_channel = static_cast<int>(threadIdx.x) / kLanes;
#pragma unroll 4
  for (int r = first; r < kChunk; ++r) {
    const float delta = tile_delta[r * kChannels + lane_channel];
    const float u = delta * tile_x[r * kChannels + lane_channel];
    const Four b(tile_b + r * kStates + own.state);
    sum += delta;
#pragma unroll
    for (int j = 0; j < kOwnStates; ++j) {
      h[j] = exp2_fast(delta * a[j]) * h[j] + u * b[j];
    }
  }
  store_alone(o, own, index, h, sum, o.local, o.delta_sum);
}

/// One thread a state of a sequence; the thread of sequence S looks after the dead chunks.
__global__ void __launch_bounds__(kThreads) bounds_kernel(Forward o) {
  const std::size_t i = static_cast<std::size_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::size_t size = o.state_size();
  if (i >= size * static_cast<std::size_t>(o.sequences + 1)) {
    return;
  }
  const auto s = static_cast<int>(i / size);
  const std::size_t cell = i % size;
  const std::size_t channel = cell / static_cast<std::size_t>(o.states);
  const int begin = min(max(o.offsets[s], 0), o.rows);
  if (s == o.sequences) {
    for (int c = (begin + kChunk - 1) / kChunk; c < o.chunks; ++c) {
      o.bounds[static_cast<std::size_t>(c) * size + cell] = 0;
    }
    return;
  }
  const int end = min(max(o.offsets[s + 1], 0), o.rows);
  if (end <= begin) {
    if (o.state_out != nullptr) {
      o.state_out[i] = o.state_in != nullptr ? o.state_in[i] : 0;
    }
    return;
  }
  const int first = begin / kChunk;
  const int last = (end - 1) / kChunk;
  if (begin % kChunk == 0) {
    o.bounds[static_cast<std::size_t>(first) * size + cell] = 0;
  }
  if (first == last) {
    return;
  }
  const float a = o.a[cell] * kLog2e;
  float h = o.local[static_cast<std::size_t>(first) * size + cell];
  for (int c = first + 1; c <= last; ++c) {
    o.bounds[static_cast<std::size_t>(c) * size + cell] = h;
    if (c < last) {
      const float sum =
          o.delta_sum[static_cast<std::size_t>(c) * static_cast<std::size_t>(o.channels) + channel];
      h = o.local[static_cast<std::size_t>(c) * size + cell] + exp2_fast(a * sum) * h;
    }
  }
}

template <int kLanes>
__global__ void __launch_bounds__(kScanThreads) scan_kernel(Forward o) {
  constexpr int kChannels = kScanChannels<kLanes>;
  constexpr int kStates = kPaddedStates<kLanes>;
  __shared__ Chunk chunk;
  __shared__ float tile_x[kChunk * kChannels];
  __shared__ float tile_delta[kChunk * kChannels];
  __shared__ __align__(16) float tile_b[kChunk * kStates];
  __shared__ __align__(16) float tile_c[kChunk * kStates];
  const int index = static_cast<int>(blockIdx.x);
  load_chunk(chunk, index * kChunk, o.offsets, o.sequences, o.rows);
  const int first_channel = static_cast<int>(blockIdx.y) * kChannels;
  load_tile<kChannels>(tile_x, chunk, o.x, first_channel, o.channels, o.rows);
  load_tile<kChannels>(tile_delta, chunk, o.delta, first_channel, o.channels, o.rows);
  load_tile<kStates>(tile_b, chunk, o.b, 0, o.states, o.rows);
  load_tile<kStates>(tile_c, chunk, o.c, 0, o.states, o.rows);
  const Own own = own_of<kLanes>(o, first_channel);
  float a[kOwnStates];
  load_log2(o, own, a);
  float h[kOwnStates] = {};
  if (chunk.continues()) {
    own.load(o, o.bounds + static_cast<std::size_t>(index) * o.state_size(), h);
  }
  const float skip = own.live ? o.d[own.channel] : 0;
  const std::uint64_t starts = starts_of(chunk);
  __syncthreads();
  const int lane_channel = static_cast<int>(threadIdx.x) / kLanes;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  // Four rows; where no sequence begins or hands on its state, nothing holds up the next row's
  // loads.
  const auto rows = [&]<bool kPlain>(int four) {
    float sums[4] = {};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int r = four + k;
      if (!kPlain && ((starts >> r) & 1U) != 0) {
        own.load(o,
                 o.state_in == nullptr
                     ? nullptr
                     : o.state_in + static_cast<std::size_t>(chunk.sequence[r]) * o.state_size(),
                 h);
      }
      const float delta = tile_delta[r * kChannels + lane_channel];
      const float u = delta * tile_x[r * kChannels + lane_channel];
      const Four b(tile_b + r * kStates + own.state);
      const Four c(tile_c + r * kStates + own.state);
#pragma unroll
      for (int j = 0; j < kOwnStates; ++j) {
        h[j] = exp2_fast(delta * a[j]) * h[j] + u * b[j];
        sums[k] += c[j] * h[j];
      }
      if (!kPlain && o.state_out != nullptr && !chunk.dead(r) && chunk.ends(r)) {
        own.store(o, h, o.state_out + static_cast<std::size_t>(chunk.sequence[r]) * o.state_size());
      }
    }
    const float sum = sum_lanes<kLanes>(sums);
    if (lane < 4) {  // its row of the four; nobody reads this x any more
      float &cell = tile_x[(four + lane) * kChannels + lane_channel];
      cell = sum + skip * cell;
    }
  };
#pragma unroll 1
  for (int four = 0; four < kChunk; four += 4) {
    if (o.state_out == nullptr && ((starts >> four) & 15U) == 0) {
      rows.template operator()<true>(four);
    } else {
      rows.template operator()<false>(four);
    }
  }
  __syncthreads();
  if (o.y != nullptr) {
    store_tile<kChannels>(tile_x, chunk, o.rows, o.y, first_channel, o.channels);
  }
}

template <int kLanes>
void run(const Forward &o, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(o.chunks),
                  blocks_of(static_cast<std::size_t>(o.channels), kScanChannels<kLanes>));
  const bool any = grid.x > 0 && grid.y > 0;
  if (o.chunks > 1 && any) {
    local_kernel<kLanes><<<grid, kScanThreads, 0, stream>>>(o);
  }
  const std::size_t cells = o.state_size() * static_cast<std::size_t>(o.sequences + 1);
  if (cells > 0) {
    bounds_kernel<<<blocks_of(cells, kThreads), kThreads, 0, stream>>>(o);
  }
  if (any) {
    scan_kernel<kLanes><<<grid, kScanThreads, 0, stream>>>(o);
  }
}

/// What the launches need, over scratch memory.
struct Work {
  float *local, *delta_sum, *bounds, *state;
  Work(Scratch &scratch, std::size_t chunks, std::size_t channels, std::size_t states,
       std::size_t sequences)
      : local(scratch.take<float>(chunks * channels * states)),
        delta_sum(scratch.take<float>(chunks * channels)),
        bounds(scratch.take<float>(chunks * channels * states)),
        state(scratch.take<float>(sequences * channels * states)) {}
};

}  // namespace

std::size_t selective_scan_plan(const Node &node) {
  const std::size_t states = node.extent(CALM_SELECTIVE_SCAN_A, 1);
  if (states > kMostStates) {
    throw Error(CALM_UNSUPPORTED, "no kernel for " + node.op + " of more than " +
                                      std::to_string(kMostStates) + " states");
  }
  Scratch scratch;
  const Work work(scratch, div_up<std::size_t>(node.extent(CALM_SELECTIVE_SCAN_X, 0), kChunk),
                  node.extent(CALM_SELECTIVE_SCAN_X, 1), states,
                  node.extent(CALM_SELECTIVE_SCAN_OFFSETS, 0) - 1);
  return scratch.used();
}

void selective_scan(const Launch &launch) {
  Forward o{};
  static_cast<ScanShape &>(o) = scan_shape(launch);
  Scratch scratch(launch.scratch());
  const Work work(scratch, static_cast<std::size_t>(o.chunks), static_cast<std::size_t>(o.channels),
                  static_cast<std::size_t>(o.states), static_cast<std::size_t>(o.sequences));
  o.local = work.local;
  o.delta_sum = work.delta_sum;
  o.state_in = launch.in<float>(CALM_SELECTIVE_SCAN_STATE_IN);
  o.y = launch.out<float>(CALM_SELECTIVE_SCAN_Y);
  auto *const bounds = launch.out<float>(CALM_SELECTIVE_SCAN_BOUNDS);
  o.bounds = bounds == nullptr ? work.bounds : bounds;
  auto *const state_out = launch.out<float>(CALM_SELECTIVE_SCAN_STATE_OUT);
  // One chunk may still read a state when another has written it: then it goes round by the
  // scratch.
  const bool in_place = state_out != nullptr && state_out == o.state_in && o.chunks > 1;
  o.state_out = in_place ? work.state : state_out;
  if (lanes_of(static_cast<std::size_t>(o.states)) == 4) {
    run<4>(o, launch.stream());
  } else {
    run<16>(o, launch.stream());
  }
  if (in_place) {
    check(cudaMemcpyAsync(state_out, work.state,
                          o.state_size() * static_cast<std::size_t>(o.sequences) * sizeof(float),
                          cudaMemcpyDeviceToDevice, launch.stream()),
          "copying the state");
  }
}

}  // namespace calm::cuda
