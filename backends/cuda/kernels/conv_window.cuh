// The convolution of four taps without a state, as all presets have it: a warp takes 8 rows of 64
// channels, a lane two of them, with all rows that it needs in registers.
#pragma once

#include "cuda/kernels/act.cuh"
#include "cuda/kernels/chunk.cuh"
#include "cuda/kernels/conv.cuh"

namespace calm::cuda {

inline constexpr int kWindowTaps = 4;
inline constexpr int kWindowHalo = kWindowTaps - 1;
inline constexpr int kWindowRows = kChunk / kWarps;  // of a warp
inline constexpr int kWindowChannels = 2 * kWarp;    // of a block

/// Which rows of a window begin a sequence and which are alive, the same for all lanes.
struct Window {
  unsigned starts = 0;  // bit i: row first + i
  int first;
  int live;  // rows of the batch that belong to a sequence

  __device__ Window(const std::int32_t *__restrict__ offsets, int sequences, int rows,
                    int first_row)
      : first(first_row), live(sequences == 0 ? 0 : min(max(offsets[sequences], 0), rows)) {
    for (int s = static_cast<int>(threadIdx.x) % kWarp; s < sequences; s += kWarp) {
      const int at = offsets[s] - first;
      starts |= at >= 0 && at < kWarp ? 1U << at : 0U;
    }
#pragma unroll
    for (int step = kWarp / 2; step > 0; step /= 2) {
      starts |= __shfl_xor_sync(kAll, starts, step);
    }
  }
  /// Whether rows i - k and i, k <= 3, belong to one sequence; i - k >= 0.
  __device__ bool together(int i, int k) const {
    const unsigned between = (1U << k) - 1U;  // rows i - k + 1 ... i
    return (starts >> (i - k + 1) & between) == 0;
  }
  __device__ bool alive(int i) const { return first + i < live; }
};

__device__ inline float2 fma2(float2 a, float2 b, float2 c) {
  return make_float2(a.x * b.x + c.x, a.y * b.y + c.y);
}

/// The taps of two channels.
struct WindowTaps {
  float2 w[kWindowTaps];
  __device__ WindowTaps(const float *__restrict__ weight, int channel) {
#pragma unroll
    for (int k = 0; k < kWindowTaps; ++k) {
      w[k] =
          make_float2(weight[channel * kWindowTaps + k], weight[(channel + 1) * kWindowTaps + k]);
    }
  }
};

/// rows[i] = row first + i of two columns, clipped to the batch.
template <int kRows, class T>
__device__ inline void load_window(const T *__restrict__ from, std::int64_t stride, int first,
                                   int rows, float2 (&to)[kRows]) {
  using Pair = typename ActPair<T>::Type;
  Pair loaded[kRows];
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    const int t = min(max(first + i, 0), rows - 1);
    loaded[i] = *reinterpret_cast<const Pair *>(from + t * stride);
  }
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    to[i] = widen(loaded[i]);
  }
}

/// The sum over taps at row i of the window, whose x is x[i].
template <int kRows>
__device__ inline float2 convolve_window(const Window &window, const WindowTaps &taps,
                                         const float2 (&x)[kRows], int i) {
  float2 c = make_float2(0, 0);
#pragma unroll
  for (int k = 0; k < kWindowTaps; ++k) {
    if (window.together(i, k)) {
      c = fma2(taps.w[k], x[i - k], c);
    }
  }
  return c;
}

__device__ inline float silu_fast(float x) { return bounded_below(x) * sigmoid_fast(x); }
__device__ inline float silu_slope_fast(float x) {
  const float s = sigmoid_fast(x);
  return s * (1 + bounded(x) * (1 - s));
}

/// Grid: chunks of 64 rows, 64 channels.
template <class T>
__global__ void __launch_bounds__(kThreads) window_forward_kernel(Forward<T> o) {
  constexpr int kRows = kWindowRows + kWindowHalo;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int first = static_cast<int>(blockIdx.x) * kChunk +
                    static_cast<int>(threadIdx.x) / kWarp * kWindowRows - kWindowHalo;
  const int channel = static_cast<int>(blockIdx.y) * kWindowChannels + 2 * lane;
  const bool own = channel < o.channels;
  const int column = own ? channel : 0;
  float2 x[kRows];
  load_window(o.x + column, o.x_stride, first, o.rows, x);
  const WindowTaps taps(o.weight, column);
  const Window window(o.offsets, o.sequences, o.rows, first);
#pragma unroll
  for (int i = kWindowHalo; i < kRows; ++i) {
    const float2 c = convolve_window(window, taps, x, i);
    const bool alive = window.alive(i);
    const float2 y = alive ? make_float2(silu_fast(c.x), silu_fast(c.y)) : make_float2(0, 0);
    if (own && first + i < o.rows) {
      store_act(
          reinterpret_cast<typename ActPair<T>::Type *>(o.y + (first + i) * o.y_stride + column),
          y);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) window_backward_kernel(Backward<T> o) {
  constexpr int kRows = kWindowRows + 2 * kWindowHalo;  // 3 before the own rows, 3 behind them
  __shared__ float sums[kWarps][kWindowTaps][kWindowChannels];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int first = static_cast<int>(blockIdx.x) * kChunk + warp * kWindowRows - kWindowHalo;
  const int channel = static_cast<int>(blockIdx.y) * kWindowChannels + 2 * lane;
  const bool own = channel < o.channels;
  const int column = own ? channel : 0;
  float2 x[kRows];
  float2 dc[kWindowRows + kWindowHalo];  // of row i + 3; first the gradient of y
  load_window(o.x + column, o.x_stride, first, o.rows, x);
  load_window(o.grad + column, o.grad_stride, first + kWindowHalo, o.rows, dc);
  const WindowTaps taps(o.weight, column);
  const Window window(o.offsets, o.sequences, o.rows, first);
#pragma unroll
  for (int i = kWindowHalo; i < kRows; ++i) {
    const float2 c = convolve_window(window, taps, x, i);
    float2 &d = dc[i - kWindowHalo];
    d = window.alive(i) ? make_float2(d.x * silu_slope_fast(c.x), d.y * silu_slope_fast(c.y))
                        : make_float2(0, 0);
  }
  float2 of_taps[kWindowTaps] = {};
#pragma unroll
  for (int i = kWindowHalo; i < kWindowHalo + kWindowRows; ++i) {
    float2 grad = make_float2(0, 0);
#pragma unroll
    for (int k = 0; k < kWindowTaps; ++k) {
      if (window.together(i + k, k)) {
        grad = fma2(taps.w[k], dc[i - kWindowHalo + k], grad);
      }
      if (window.together(i, k)) {
        of_taps[k] = fma2(dc[i - kWindowHalo], x[i - k], of_taps[k]);
      }
    }
    if (own && o.grad_x != nullptr && first + i < o.rows) {
      store_act(reinterpret_cast<typename ActPair<T>::Type *>(
                    o.grad_x + (first + i) * o.grad_x_stride + column),
                window.alive(i) ? grad : make_float2(0, 0));
    }
  }
  if (o.sums == nullptr) {
    return;
  }
#pragma unroll
  for (int k = 0; k < kWindowTaps; ++k) {
    *reinterpret_cast<float2 *>(&sums[warp][k][2 * lane]) = of_taps[k];
  }
  __syncthreads();
  const int e = static_cast<int>(threadIdx.x) / kWindowTaps;
  const int k = static_cast<int>(threadIdx.x) % kWindowTaps;
  const int to = static_cast<int>(blockIdx.y) * kWindowChannels + e;
  if (to < o.channels) {
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      sum += sums[w][k][e];
    }
    o.sums[(static_cast<std::size_t>(blockIdx.x) * static_cast<std::size_t>(o.channels) +
            static_cast<std::size_t>(to)) *
               kWindowTaps +
           static_cast<std::size_t>(k)] = sum;
  }
}

/// Whether all rows of two channels begin at an address that suits a pair.
template <class T>
bool suits_pairs(const T *base, std::int64_t stride) {
  return stride % 2 == 0 && reinterpret_cast<std::uintptr_t>(base) % (2 * sizeof(T)) == 0;
}

}  // namespace calm::cuda
