// The selective scan of a block with its step sizes in front and its gate behind (fused.hpp).
//
// A thread holds 4 states of one channel. Step sizes, inputs and gates of a chunk are made where
// lanes are channels and lie in shared memory while the scan goes over its rows.
#include "cuda/kernels/mixer.cuh"

namespace calm::cuda {
namespace {

constexpr int kLanes = 4;                   // of a channel
constexpr int kYStride = kMixChannels + 4;  // a warp's four rows of eight channels: all banks
constexpr int kBlocks = 6;                  // a multiprocessor

template <class T>
struct Forward : Mixer<T> {
  T *g, *y;
  float *bounds;
  int g_stride, y_stride;
  float *local;      // [spans, E, N]: the last state of a span whose last sequence goes on
  float *delta_sum;  // [spans, E]
};

/// A chunk in shared memory.
template <int kR>
struct Tile {
  float2 step[kChunk * kMixChannels];  // delta, delta s
  QTile<kR> q;
};

/// delta and delta s of the live rows of a chunk, 0 and 0 of the others.
template <int kR, class T>
__device__ void load_steps(Tile<kR> &tile, const Forward<T> &o, const StepSize<kR> &size,
                           const OwnRows &own, int channel) {
  const int lane = own.lane();
  const T *const from = own.at(o.s + channel, o.s_stride);
#pragma unroll 1
  for (int k0 = 0; k0 < kMixEach; k0 += kMixBatch) {
    const unsigned live = own.live >> k0;
    const T *const s_row = own_row(from, o.s_stride, k0);
    float s[kMixBatch];
#pragma unroll
    for (int k = 0; k < kMixBatch; ++k) {
      s[k] = (live >> k & 1U) != 0 ? widen(*own_row(s_row, o.s_stride, k)) : 0;
    }
#pragma unroll
    for (int k = 0; k < kMixBatch; ++k) {
      const int r = own.warp() + (k0 + k) * kMixWarps;
      const float step = size(tile.q.dt(r));
      const float delta = (live >> k & 1U) != 0 ? step : 0;
      tile.step[r * kMixChannels + lane] = make_float2(delta, delta * s[k]);
    }
  }
}

/// From the sums over states: y and g.
template <class T>
__device__ void store_rows(const float *tile_y, const Forward<T> &o, const OwnRows &own,
                           int channel, float skip) {
  const T *const from = own.at(o.s + channel, o.s_stride);
  const T *const gates = own.at(o.z + channel, o.z_stride);
  T *const g_row = own.at(o.g + channel, o.g_stride);
  T *const y_row = o.y == nullptr ? nullptr : own.at(o.y + channel, o.y_stride);
#pragma unroll 1
  for (int k0 = 0; k0 < kMixEach; k0 += kMixBatch) {
    const unsigned live = own.live >> k0;
    float s[kMixBatch];
    float z[kMixBatch];
#pragma unroll
    for (int k = 0; k < kMixBatch; ++k) {
      const bool is_live = (live >> k & 1U) != 0;
      s[k] = is_live ? widen(*own_row(from, o.s_stride, k0 + k)) : 0;
      z[k] = is_live ? widen(*own_row(gates, o.z_stride, k0 + k)) : 0;
    }
#pragma unroll
    for (int k = 0; k < kMixBatch; ++k) {
      const int r = own.warp() + (k0 + k) * kMixWarps;
      if (k0 + k < own.n) {
        const float y = tile_y[r * kYStride + own.lane()] + skip * s[k];
        store_act(own_row(g_row, o.g_stride, k0 + k),
                  y * (bounded_below(z[k]) * sigmoid_fast(z[k])));
        if (y_row != nullptr) {
          store_act(own_row(y_row, o.y_stride, k0 + k), y);
        }
      }
    }
  }
}

template <int kR, class T>
__global__ void __launch_bounds__(kScanThreads, kBlocks) local_kernel(Forward<T> o) {
  __shared__ Chunk chunk;
  __shared__ __align__(16) Tile<kR> tile;
  const int index = static_cast<int>(blockIdx.x);
  const int end = min((index + 1) * o.span, o.chunks);
  tile.q.clear();
  load_chunk(chunk, (end - 1) * kChunk, o.offsets, o.sequences, o.rows);
  if (!chunk.goes_on()) {
    return;
  }
  const int begin = max(chunk.begin[kChunk - 1], index * o.span * kChunk);
  const int first_channel = static_cast<int>(blockIdx.y) * kMixChannels;
  const int lane_channel = static_cast<int>(threadIdx.x) / kLanes;
  const int state = static_cast<int>(threadIdx.x) % kLanes * kOwnStates;
  const Cells<kOwnStates> cells(o, first_channel + lane_channel, state);
  const int channel = first_channel + static_cast<int>(threadIdx.x) % kWarp;
  const StepSize<kR> size(o, channel);
  float a[kOwnStates];
  cells.load_decay(o.a_log, a);
  float h[kOwnStates] = {};
  float sum = 0;
#pragma unroll 1
  for (int c = begin / kChunk; c < end; ++c) {
    const int skipped = max(begin - c * kChunk, 0);
    const OwnRows own(o, c * kChunk, skipped, kChunk);
    tile.q.load(o, own);
    __syncthreads();
    load_steps(tile, o, size, own, min(channel, o.channels - 1));
    __syncthreads();
#pragma unroll 4
    for (int r = skipped; r < kChunk; ++r) {
      const float2 step = tile.step[r * kMixChannels + lane_channel];
      const Four b(tile.q.b(r) + state);
      sum += step.x;
#pragma unroll
      for (int j = 0; j < kOwnStates; ++j) {
        h[j] = exp2_fast(step.x * a[j]) * h[j] + step.y * b[j];
      }
    }
    __syncthreads();
  }
  cells.store(h, o.local + static_cast<std::size_t>(index) * o.state_size());
  if (cells.n > 0 && state == 0) {
    o.delta_sum[index * o.channels + first_channel + lane_channel] = sum;
  }
}

template <int kR, class T>
__global__ void __launch_bounds__(kScanThreads, kBlocks) scan_kernel(Forward<T> o) {
  __shared__ Chunk chunk;
  __shared__ __align__(16) Tile<kR> tile;
  __shared__ float tile_y[kChunk * kYStride];
  const int index = static_cast<int>(blockIdx.x);
  const int first_channel = static_cast<int>(blockIdx.y) * kMixChannels;
  const int lane_channel = static_cast<int>(threadIdx.x) / kLanes;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int state = lane * kOwnStates;
  const Cells<kOwnStates> cells(o, first_channel + lane_channel, state);
  const int channel = first_channel + static_cast<int>(threadIdx.x) % kWarp;
  const int own_channel = min(channel, o.channels - 1);
  const StepSize<kR> size(o, channel);
  const float skip = o.d[own_channel];
  float a[kOwnStates];
  cells.load_decay(o.a_log, a);
  float h[kOwnStates] = {};
  tile.q.clear();
  const int end = min((index + 1) * o.span, o.chunks);
#pragma unroll 1
  for (int c = index * o.span; c < end; ++c) {
    load_chunk(chunk, c * kChunk, o.offsets, o.sequences, o.rows);
    const std::uint64_t starts = starts_of(chunk);
    const OwnRows own(o, chunk);
    const bool continues = chunk.continues();
    if (!continues) {
      h[0] = h[1] = h[2] = h[3] = 0;
    } else if (c == index * o.span) {
      // From the span in which the sequence begins on.
      int from = chunk.begin[0] / (o.span * kChunk);
      cells.load(o.local + static_cast<std::size_t>(from) * o.state_size(), h);
#pragma unroll 2
      for (++from; from < index; ++from) {
        const float sum =
            cells.n > 0 ? o.delta_sum[from * o.channels + first_channel + lane_channel] : 0;
        float alone[kOwnStates];
        cells.load(o.local + static_cast<std::size_t>(from) * o.state_size(), alone);
#pragma unroll
        for (int j = 0; j < kOwnStates; ++j) {
          h[j] = alone[j] + exp2_fast(a[j] * sum) * h[j];
        }
      }
    }
    if (o.bounds != nullptr) {
      cells.store(h, o.bounds + static_cast<std::size_t>(c) * o.state_size());
    }
    tile.q.load(o, own);
    __syncthreads();
    load_steps(tile, o, size, own, own_channel);
    __syncthreads();
    // Four rows; where no sequence begins, nothing holds up the next row's loads.
    const auto rows = [&]<bool kPlain>(int four) {
      float sums[4] = {};
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const int r = four + k;
        const bool start = !kPlain && ((starts >> r) & 1U) != 0;
        const float2 step = tile.step[r * kMixChannels + lane_channel];
        const Four b(tile.q.b(r) + state);
        const Four c_row(tile.q.c(r) + state);
#pragma unroll
        for (int j = 0; j < kOwnStates; ++j) {
          h[j] = exp2_fast(step.x * a[j]) * (start ? 0 : h[j]) + step.y * b[j];
          sums[k] += c_row[j] * h[j];
        }
      }
      const float sum = sum_lanes<kLanes>(sums);
      tile_y[(four + lane) * kYStride + lane_channel] = sum;
    };
#pragma unroll 2
    for (int four = 0; four < kChunk; four += 4) {
      if (((starts >> four) & 15U) == 0) {
        rows.template operator()<true>(four);
      } else {
        rows.template operator()<false>(four);
      }
    }
    __syncthreads();
    if (channel < o.channels) {
      store_rows(tile_y, o, own, channel, skip);
    }
    __syncthreads();  // before the next chunk
  }
}

template <class T, int kR>
void run(const Launch &launch) {
  Forward<T> o{};
  static_cast<Mixer<T> &>(o) = mixer_of<T>(launch);
  Scratch scratch(launch.scratch());
  const MixerWork work(scratch, launch.node());
  o.local = work.local;
  o.delta_sum = work.delta_sum;
  o.g = launch.out<T>(kMixerG);
  o.y = launch.out<T>(kMixerY);
  o.bounds = launch.out<float>(kMixerBounds);
  o.g_stride = static_cast<int>(launch.out_stride(kMixerG));
  o.y_stride = o.y == nullptr ? 0 : static_cast<int>(launch.out_stride(kMixerY));
  const dim3 grid = mixer_grid(o);
  if (grid.x == 0 || grid.y == 0) {
    return;
  }
  if (grid.x > 1) {
    local_kernel<kR, T><<<grid, kScanThreads, 0, launch.stream()>>>(o);
  }
  scan_kernel<kR, T><<<grid, kScanThreads, 0, launch.stream()>>>(o);
}

}  // namespace

std::size_t mixer_plan(const Node &node) {
  check_mixer(node);
  Scratch scratch;
  const MixerWork work(scratch, node);
  return scratch.used();
}

void mixer(const Launch &launch) {
  with_mixer_types(launch.node(), [&]<class T, int kR>() { run<T, kR>(launch); });
}

}  // namespace calm::cuda
