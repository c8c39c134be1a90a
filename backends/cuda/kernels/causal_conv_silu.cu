// c[t, e] = sum over k < K of weight[e, k] x[t - k, e], y = silu(c): a true depthwise convolution,
// each sequence alone (spec E.5.2).
//
// Backward, with dc = grad silu'(c): grad_x[t] = sum over k of weight[e, k] dc[t + k], gathered,
// and grad_weight[e, k] = sum over t of dc[t, e] x[t - k, e], left by chunks of 64 rows
// (fused.hpp).
//
// A block is 64 channels of 64 rows; a thread walks 16 rows of one channel with the rows it needs
// in registers. kTaps = 0 stands for any number of taps: then rows are read again.
#include <calm/ops/causal_conv_silu.h>

#include <calm/cpp/error.hpp>

#include <string>

#include "cuda/error.hpp"
#include "cuda/fused.hpp"
#include "cuda/kernels/act.cuh"
#include "cuda/kernels/chunk.cuh"
#include "cuda/kernels/conv_window.cuh"

namespace calm::cuda {
namespace {

constexpr int kLanes = 64;  // channels of a block
constexpr int kGroups = kThreads / kLanes;

/// tile[i, lane] = x of row first + i, for i < n: loads that no branch holds up. Rows outside the
/// batch hold another row's numbers, which nothing uses.
template <class T>
__device__ void load_rows(const Shape<T> &s, int first, int n, int e, float *tile) {
  const int column = min(e, s.channels - 1);
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
#pragma unroll 8
  for (int i = static_cast<int>(threadIdx.x) / kLanes; i < n; i += kGroups) {
    const int t = min(max(first + i, 0), s.rows - 1);
    tile[i * kLanes + lane] = widen(s.x[t * s.x_stride + column]);
  }
}

template <int kTaps>
struct Taps {
  const float *from;
  float kept[kTaps == 0 ? 1 : kTaps];
  template <class T>
  __device__ Taps(const Shape<T> &s, int e) : from(s.weight + min(e, s.channels - 1) * s.taps) {
#pragma unroll
    for (int k = 0; k < kTaps; ++k) {
      kept[k] = from[k];
    }
  }
  __device__ float operator[](int k) const { return kTaps == 0 ? from[k] : kept[k]; }
};

/// c of row r of a chunk: its x is row `at` of the tile. What came before the sequence is in
/// `state` (null: zeros).
template <int kTaps, class T>
__device__ float convolve(const Shape<T> &s, const Taps<kTaps> &weight, const Chunk &chunk,
                          const float *state, const float *tile, int at, int r, int e) {
  const int taps = kTaps == 0 ? s.taps : kTaps;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int known = chunk.first + r - chunk.begin[r] + 1;  // rows of the sequence up to this one
  float c = 0;
#pragma unroll
  for (int k = 0; k < taps; ++k) {
    c += k < known ? weight[k] * tile[(at - k) * kLanes + lane] : 0;
  }
  if (state != nullptr && known < taps) {
    const float *const own = state + (static_cast<std::size_t>(chunk.sequence[r]) *
                                          static_cast<std::size_t>(s.channels) +
                                      static_cast<std::size_t>(e)) *
                                         static_cast<std::size_t>(taps);
    for (int k = known; k < taps; ++k) {
      c += s.weight[e * taps + k] * own[taps + known - 1 - k];
    }
  }
  return c;
}

template <int kTaps, class T>
__global__ void __launch_bounds__(kThreads) forward_kernel(Forward<T> o) {
  __shared__ Chunk chunk;
  extern __shared__ float tile[];  // [K - 1 + 64, 64]
  const int halo = (kTaps == 0 ? o.taps : kTaps) - 1;
  const int first = static_cast<int>(blockIdx.x) * kChunk;
  const int e = static_cast<int>(blockIdx.y) * kLanes + static_cast<int>(threadIdx.x) % kLanes;
  const Taps<kTaps> weight(o, e);
  load_rows(o, first - halo, kChunk + halo, e, tile);
  load_chunk(chunk, first, o.offsets, o.sequences, o.rows);
  if (e >= o.channels) {
    return;
  }
#pragma unroll 4
  for (int r = static_cast<int>(threadIdx.x) / kLanes; r < kChunk; r += kGroups) {
    if (first + r < o.rows) {
      const float y =
          chunk.dead(r)
              ? 0
              : silu_of(convolve<kTaps>(o, weight, chunk, o.state_in, tile, r + halo, r, e));
      o.y[(first + r) * o.y_stride + e] = narrow_to<T>(y);
    }
  }
}

/// The last K values of a sequence, oldest first; a short one keeps what came before. In place too:
/// column k reads column k + length or later, and one thread does a channel of a sequence.
template <class T>
__global__ void __launch_bounds__(kThreads)
    state_kernel(Shape<T> s, const float *state_in, float *state_out) {
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  const int q = i / s.channels;
  if (q >= s.sequences) {
    return;
  }
  const int e = i - q * s.channels;
  const int begin = min(max(s.offsets[q], 0), s.rows);
  const int length = min(max(s.offsets[q + 1], begin), s.rows) - begin;
  const std::size_t own = static_cast<std::size_t>(i) * static_cast<std::size_t>(s.taps);
  for (int k = 0; k < s.taps; ++k) {
    const int from = k + length;  // column of [state, sequence]
    state_out[own + static_cast<std::size_t>(k)] =
        from >= s.taps        ? widen(s.x[(begin + from - s.taps) * s.x_stride + e])
        : state_in != nullptr ? state_in[own + static_cast<std::size_t>(from)]
                              : 0;
  }
}

/// Shared memory: x from K - 1 rows before the chunk to K - 1 behind it, dc from the chunk on.
template <int kTaps, class T>
__global__ void __launch_bounds__(kThreads) backward_kernel(Backward<T> o) {
  __shared__ Chunk chunk;
  __shared__ Chunk next;
  extern __shared__ float tile[];
  const int taps = kTaps == 0 ? o.taps : kTaps;
  const int halo = taps - 1;
  float *const dc = tile + (kChunk + 2 * halo) * kLanes;
  const int first = static_cast<int>(blockIdx.x) * kChunk;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int group = static_cast<int>(threadIdx.x) / kLanes;
  const int e = static_cast<int>(blockIdx.y) * kLanes + lane;
  const int column = min(e, o.channels - 1);
  const Taps<kTaps> weight(o, e);
  load_rows(o, first - halo, kChunk + 2 * halo, e, tile);
  load_chunk(chunk, first, o.offsets, o.sequences, o.rows);
  load_chunk(next, first + kChunk, o.offsets, o.sequences, o.rows);
#pragma unroll 4
  for (int r = group; r < kChunk + halo; r += kGroups) {
    const int t = min(first + r, o.rows - 1);
    const float grad = widen(o.grad[t * o.grad_stride + column]);
    const Chunk &of = r < kChunk ? chunk : next;
    const int own = r < kChunk ? r : r - kChunk;
    const float c = convolve<kTaps>(o, weight, of, nullptr, tile, r + halo, own, e);
    dc[r * kLanes + lane] = of.dead(own) ? 0 : grad * silu_slope(c);
  }
  __syncthreads();
  if (e >= o.channels) {
    return;
  }
  if (o.grad_x != nullptr) {
#pragma unroll 4
    for (int r = group; r < kChunk; r += kGroups) {
      const int left = chunk.dead(r) ? 0 : chunk.end[r] - (first + r);  // rows of the sequence
      float sum = 0;
#pragma unroll
      for (int k = 0; k < taps; ++k) {
        sum += k < left ? weight[k] * dc[(r + k) * kLanes + lane] : 0;
      }
      if (first + r < o.rows) {
        o.grad_x[(first + r) * o.grad_x_stride + e] = narrow_to<T>(sum);
      }
    }
  }
  // A thread sums one tap of its channel over the chunk's rows.
  for (int k = group; k < taps && o.sums != nullptr; k += kGroups) {
    float sum = 0;
#pragma unroll 8
    for (int r = 0; r < kChunk; ++r) {
      const bool inside = !chunk.dead(r) && first + r - k >= chunk.begin[r];
      sum += inside ? dc[r * kLanes + lane] * tile[(r + halo - k) * kLanes + lane] : 0;
    }
    o.sums[(static_cast<std::size_t>(blockIdx.x) * static_cast<std::size_t>(o.channels) +
            static_cast<std::size_t>(e)) *
               static_cast<std::size_t>(taps) +
           static_cast<std::size_t>(k)] = sum;
  }
}

constexpr int kMostTaps = kChunk;  // the halo is one chunk at most
constexpr int kUsualTaps = 4;

template <class T>
void set_shape(const Launch &launch, Shape<T> &s) {
  s.x = launch.in<T>(CALM_CAUSAL_CONV_SILU_X);
  s.x_stride = launch.in_stride(CALM_CAUSAL_CONV_SILU_X);
  s.weight = launch.in<float>(CALM_CAUSAL_CONV_SILU_WEIGHT);
  s.offsets = launch.in<std::int32_t>(CALM_CAUSAL_CONV_SILU_OFFSETS);
  s.rows = launch.extent(CALM_CAUSAL_CONV_SILU_X, 0);
  s.channels = launch.extent(CALM_CAUSAL_CONV_SILU_X, 1);
  s.taps = launch.extent(CALM_CAUSAL_CONV_SILU_WEIGHT, 1);
  s.sequences = launch.extent(CALM_CAUSAL_CONV_SILU_OFFSETS, 0) - 1;
}

std::size_t tile_bytes(int rows) { return static_cast<std::size_t>(rows) * kLanes * sizeof(float); }

template <class T>
dim3 grid_of(const Shape<T> &s) {
  return {blocks_of(static_cast<std::size_t>(s.rows), kChunk),
          blocks_of(static_cast<std::size_t>(s.channels), kLanes)};
}

/// Whether there are blocks enough for a warp to take many rows, so that fewer are read by two.
bool are_many(const dim3 &grid) { return grid.x * grid.y >= 360; }

template <class T>
void run_forward(const Launch &launch) {
  Forward<T> o{};
  set_shape(launch, o);
  o.state_in = launch.in<float>(CALM_CAUSAL_CONV_SILU_STATE_IN);
  o.y = launch.out<T>(CALM_CAUSAL_CONV_SILU_Y);
  o.y_stride = launch.out_stride(CALM_CAUSAL_CONV_SILU_Y);
  const dim3 grid = grid_of(o);
  if (o.y != nullptr && grid.x > 0 && grid.y > 0) {
    const std::size_t shared = tile_bytes(kChunk + o.taps - 1);
    if (o.taps == kWindowTaps && o.state_in == nullptr && o.channels % 2 == 0 &&
        suits_pairs(o.x, o.x_stride) && suits_pairs(o.y, o.y_stride)) {
      if (are_many(grid)) {
        run_window<16>(o, grid, launch.stream());
      } else {
        run_window<8>(o, grid, launch.stream());
      }
    } else if (o.taps == kUsualTaps) {
      forward_kernel<kUsualTaps><<<grid, kThreads, shared, launch.stream()>>>(o);
    } else {
      forward_kernel<0><<<grid, kThreads, shared, launch.stream()>>>(o);
    }
  }
  const std::size_t states =
      static_cast<std::size_t>(o.sequences) * static_cast<std::size_t>(o.channels);
  auto *const state_out = launch.out<float>(CALM_CAUSAL_CONV_SILU_STATE_OUT);
  if (state_out != nullptr && states > 0) {
    state_kernel<<<blocks_of(states, kThreads), kThreads, 0, launch.stream()>>>(
        static_cast<const Shape<T> &>(o), o.state_in, state_out);
  }
}

template <class T>
void run_backward(const Launch &launch) {
  Backward<T> o{};
  set_shape(launch, o);
  o.grad = launch.in<T>(CALM_CAUSAL_CONV_SILU_GRAD_GRAD);
  o.grad_stride = launch.in_stride(CALM_CAUSAL_CONV_SILU_GRAD_GRAD);
  o.grad_x = launch.out<T>(kConvGradX);
  o.grad_x_stride = launch.out_stride(kConvGradX);
  o.sums = launch.out<float>(kConvGradSums);
  const dim3 grid = grid_of(o);
  if (grid.x == 0 || grid.y == 0) {
    return;
  }
  const std::size_t shared = tile_bytes(2 * kChunk + 3 * (o.taps - 1));
  if (o.taps == kWindowTaps && o.channels % 2 == 0 && suits_pairs(o.x, o.x_stride) &&
      suits_pairs(o.grad, o.grad_stride) && suits_pairs(o.grad_x, o.grad_x_stride)) {
    if (are_many(grid)) {
      run_window<32>(o, grid, launch.stream());
    } else {
      run_window<8>(o, grid, launch.stream());
    }
  } else if (o.taps == kUsualTaps) {
    backward_kernel<kUsualTaps><<<grid, kThreads, shared, launch.stream()>>>(o);
  } else {
    check(cudaFuncSetAttribute(backward_kernel<0, T>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared)),
          "asking for shared memory");
    backward_kernel<0><<<grid, kThreads, shared, launch.stream()>>>(o);
  }
}

}  // namespace

std::size_t causal_conv_silu_plan(const Node &node) {
  if (node.extent(CALM_CAUSAL_CONV_SILU_WEIGHT, 1) > kMostTaps) {
    throw Error(CALM_UNSUPPORTED, "no kernel for causal_conv_silu of more than " +
                                      std::to_string(kMostTaps) + " taps");
  }
  return 0;
}

void causal_conv_silu(const Launch &launch) {
  with_act(launch.node().ins[CALM_CAUSAL_CONV_SILU_X].dtype,
           [&]<class T>() { run_forward<T>(launch); });
}

std::size_t causal_conv_silu_grad_plan(const Node &node) { return causal_conv_silu_plan(node); }

void causal_conv_silu_grad(const Launch &launch) {
  with_act(launch.node().ins[CALM_CAUSAL_CONV_SILU_GRAD_X].dtype,
           [&]<class T>() { run_backward<T>(launch); });
}

}  // namespace calm::cuda
