// The convolution of four taps without a state, as all presets have it: a warp takes 8 to 32 rows
// of 64 channels, a lane two of them, with the rows that it is at in registers.
#pragma once

#include "cuda/kernels/act.cuh"
#include "cuda/kernels/chunk.cuh"
#include "cuda/kernels/conv.cuh"

namespace calm::cuda {

inline constexpr int kWindowTaps = 4;
inline constexpr int kWindowHalo = kWindowTaps - 1;
inline constexpr int kWindowChannels = 2 * kWarp;  // of a block

/// Which rows of a window begin a sequence and which are alive, the same for all lanes.
struct Window {
  unsigned starts;  // bit i: row first + i
  int first;
  int live;  // rows of the batch that belong to a sequence

  /// Whether rows i - k and i, k <= 3, belong to one sequence; i - k >= 0.
  __device__ bool together(int i, int k) const {
    const unsigned between = (1U << k) - 1U;  // rows i - k + 1 ... i
    return (starts >> (i - k + 1) & between) == 0;
  }
  __device__ bool alive(int i) const { return first + i < live; }
  /// Whether all of the first `rows` rows belong to one sequence.
  __device__ bool plain(int rows) const {
    return (starts & ((1U << rows) - 2U)) == 0 && first >= 0 && alive(rows - 1);
  }
};

/// The same of 64 rows.
struct Windows {
  unsigned starts[2] = {};
  int first, live;

  __device__ Windows(const std::int32_t *__restrict__ offsets, int sequences, int rows,
                     int first_row)
      : first(first_row), live(sequences == 0 ? 0 : min(max(offsets[sequences], 0), rows)) {
    for (int s = static_cast<int>(threadIdx.x) % kWarp; s < sequences; s += kWarp) {
      const int at = offsets[s] - first;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        starts[i] |= at >= i * kWarp && at < (i + 1) * kWarp ? 1U << at % kWarp : 0U;
      }
    }
#pragma unroll
    for (int step = kWarp / 2; step > 0; step /= 2) {
#pragma unroll
      for (unsigned &some : starts) {
        some |= __shfl_xor_sync(kAll, some, step);
      }
    }
  }
  /// From row `first` + i on, i < 32.
  __device__ Window from(int i) const {
    const unsigned high = i == 0 ? 0 : starts[1] << (kWarp - i);
    return {starts[0] >> i | high, first + i, live};
  }
};

/// A window of which nothing is to be asked: all its rows belong to one sequence.
struct PlainWindow {
  __device__ static constexpr bool together(int /*i*/, int /*k*/) { return true; }
  __device__ static constexpr bool alive(int /*i*/) { return true; }
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

/// to[i] = row first + i of two columns, clipped to the batch.
template <int kRows, class T, class Pair>
__device__ inline void fetch_window(const T *__restrict__ from, std::int64_t stride, int first,
                                    int rows, Pair (&to)[kRows]) {
  if (first >= 0 && first + kRows <= rows) {
    from += first * stride;
#pragma unroll
    for (Pair &two : to) {
      two = *reinterpret_cast<const Pair *>(from);
      from += stride;
    }
  } else {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int t = min(max(first + i, 0), rows - 1);
      to[i] = *reinterpret_cast<const Pair *>(from + t * stride);
    }
  }
}

/// In fp32, from to[kAt] on.
template <int kAt, int kRows, int kTo, class Pair>
__device__ inline void widen_all(const Pair (&from)[kRows], float2 (&to)[kTo]) {
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    to[kAt + i] = widen(from[i]);
  }
}

/// The sum over taps at row i of the window, whose x is x[i].
template <int kRows, class W>
__device__ inline float2 convolve_window(const W &window, const WindowTaps &taps,
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

/// Where a thread's rows and channels are: a window begins three rows before a warp's own.
template <int kRows>
struct WindowPlace {
  static constexpr int kWarps = kChunk / kRows;  // of a block
  static constexpr int kThreads = kWarps * kWarp;
  int lane, warp;
  int first;   // row of the window
  int column;  // of two; the first where there are none for it
  bool own;    // there are two

  template <class T>
  __device__ explicit WindowPlace(const Shape<T> &o)
      : lane(static_cast<int>(threadIdx.x) % kWarp),
        warp(static_cast<int>(threadIdx.x) / kWarp),
        first(static_cast<int>(blockIdx.x) * kChunk + warp * kRows - kWindowHalo) {
    const int channel = static_cast<int>(blockIdx.y) * kWindowChannels + 2 * lane;
    own = channel < o.channels;
    column = own ? channel : 0;
  }
};

/// Writes two columns of a row of the batch.
template <class T>
__device__ inline void store_pair(T *to, std::int64_t stride, int row, int column, float2 two) {
  store_act(reinterpret_cast<typename ActPair<T>::Type *>(to + row * stride + column), two);
}

template <int kRows, class W, class T>
__device__ inline void convolve_rows(const Forward<T> &o, const W &window, const WindowTaps &taps,
                                     const WindowPlace<kRows> &place,
                                     const float2 (&x)[kRows + kWindowHalo]) {
#pragma unroll
  for (int i = kWindowHalo; i < kRows + kWindowHalo; ++i) {
    const float2 c = convolve_window(window, taps, x, i);
    const float2 y =
        window.alive(i) ? make_float2(silu_fast(c.x), silu_fast(c.y)) : make_float2(0, 0);
    if (place.own && place.first + i < o.rows) {
      store_pair(o.y, o.y_stride, place.first + i, place.column, y);
    }
  }
}

/// Grid: chunks of 64 rows, 64 channels.
template <int kRows, class T>
__global__ void __launch_bounds__(WindowPlace<kRows>::kThreads)
    window_forward_kernel(Forward<T> o) {
  const WindowPlace<kRows> place(o);
  typename ActPair<T>::Type fetched[kRows + kWindowHalo];
  fetch_window(o.x + place.column, o.x_stride, place.first, o.rows, fetched);
  const WindowTaps taps(o.weight, place.column);
  const Window window = Windows(o.offsets, o.sequences, o.rows, place.first).from(0);
  float2 x[kRows + kWindowHalo];
  widen_all<0>(fetched, x);
  if (window.plain(kRows + kWindowHalo)) {
    convolve_rows(o, PlainWindow{}, taps, place, x);
  } else {
    convolve_rows(o, window, taps, place, x);
  }
}

inline constexpr int kWindowStep =
    8;  // rows from one window to the next, going back through the graph

/// What a lane has of eight rows on the way back, of three in front of them and three behind.
struct BackWindow {
  static constexpr int kRows = kWindowStep + 2 * kWindowHalo;
  float2 x[kRows];
  float2 dc[kRows - kWindowHalo];  // of row i + 3: the gradient of y, then of the sum over taps
  float2 of_taps[kWindowTaps] = {};

  /// The gradient of the sum over taps of rows [begin, end) behind the first three.
  template <int kBegin, int kEnd, class W>
  __device__ void slopes(const W &window, const WindowTaps &taps) {
#pragma unroll
    for (int i = kBegin; i < kEnd; ++i) {
      const float2 c = convolve_window(window, taps, x, i + kWindowHalo);
      dc[i] = window.alive(i + kWindowHalo)
                  ? make_float2(dc[i].x * silu_slope_fast(c.x), dc[i].y * silu_slope_fast(c.y))
                  : make_float2(0, 0);
    }
  }
  /// Once the slopes are there: grad_x of the eight rows, and their part of the taps' gradients.
  template <class W, class Place, class T>
  __device__ void step(const Backward<T> &o, const W &window, const WindowTaps &taps,
                       const Place &place, int first) {
#pragma unroll
    for (int i = kWindowHalo; i < kWindowHalo + kWindowStep; ++i) {
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
      if (place.own && o.grad_x != nullptr && first + i < o.rows) {
        store_pair(o.grad_x, o.grad_x_stride, first + i, place.column,
                   window.alive(i) ? grad : make_float2(0, 0));
      }
    }
  }
  /// To the next window.
  __device__ void turn() {
#pragma unroll
    for (int i = 0; i < 2 * kWindowHalo; ++i) {
      x[i] = x[i + kWindowStep];
    }
#pragma unroll
    for (int i = 0; i < kWindowHalo; ++i) {
      dc[i] = dc[i + kWindowStep];
    }
  }
};

/// A warp goes through its rows eight at a time, with the next eight on their way.
template <int kRows, class T>
__global__ void __launch_bounds__(WindowPlace<kRows>::kThreads)
    window_backward_kernel(Backward<T> o) {
  using Place = WindowPlace<kRows>;
  using Pair = typename ActPair<T>::Type;
  __shared__ float sums[Place::kWarps][kWindowTaps][kWindowChannels];
  const Place place(o);
  const T *const x = o.x + place.column;
  const T *const grad = o.grad + place.column;
  Pair x_front[2 * kWindowHalo];
  Pair grad_front[kWindowHalo];
  Pair next_x[kWindowStep];
  Pair next_grad[kWindowStep];
  fetch_window(x, o.x_stride, place.first, o.rows, x_front);
  fetch_window(grad, o.grad_stride, place.first + kWindowHalo, o.rows, grad_front);
  fetch_window(x, o.x_stride, place.first + 2 * kWindowHalo, o.rows, next_x);
  fetch_window(grad, o.grad_stride, place.first + 2 * kWindowHalo, o.rows, next_grad);
  const WindowTaps taps(o.weight, place.column);
  const Windows windows(o.offsets, o.sequences, o.rows, place.first);
  BackWindow own;
  widen_all<0>(x_front, own.x);
  widen_all<0>(grad_front, own.dc);
  own.template slopes<0, kWindowHalo>(windows.from(0), taps);
#pragma unroll 1
  for (int done = 0; done < kRows; done += kWindowStep) {
    widen_all<2 * kWindowHalo>(next_x, own.x);
    widen_all<kWindowHalo>(next_grad, own.dc);
    const int first = place.first + done;
    if (done + kWindowStep < kRows) {
      const int next = first + 2 * kWindowHalo + kWindowStep;
      fetch_window(x, o.x_stride, next, o.rows, next_x);
      fetch_window(grad, o.grad_stride, next, o.rows, next_grad);
    }
    constexpr int kEnd = kWindowStep + kWindowHalo;
    const Window window = windows.from(done);
    if (window.plain(BackWindow::kRows)) {
      own.template slopes<kWindowHalo, kEnd>(PlainWindow{}, taps);
      own.step(o, PlainWindow{}, taps, place, first);
    } else {
      own.template slopes<kWindowHalo, kEnd>(window, taps);
      own.step(o, window, taps, place, first);
    }
    own.turn();
  }
  if (o.sums == nullptr) {
    return;
  }
#pragma unroll
  for (int k = 0; k < kWindowTaps; ++k) {
    *reinterpret_cast<float2 *>(&sums[place.warp][k][2 * place.lane]) = own.of_taps[k];
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kWindowTaps * kWindowChannels;
       i += Place::kThreads) {
    const int e = i / kWindowTaps;
    const int k = i % kWindowTaps;
    const int to = static_cast<int>(blockIdx.y) * kWindowChannels + e;
    if (to < o.channels) {
      float sum = 0;
#pragma unroll
      for (int w = 0; w < Place::kWarps; ++w) {
        sum += sums[w][k][e];
      }
      o.sums[(static_cast<std::size_t>(blockIdx.x) * static_cast<std::size_t>(o.channels) +
              static_cast<std::size_t>(to)) *
                 kWindowTaps +
             static_cast<std::size_t>(k)] = sum;
    }
  }
}

template <int kRows, class T>
void run_window(const Forward<T> &o, const dim3 &grid, cudaStream_t stream) {
  window_forward_kernel<kRows><<<grid, WindowPlace<kRows>::kThreads, 0, stream>>>(o);
}
template <int kRows, class T>
void run_window(const Backward<T> &o, const dim3 &grid, cudaStream_t stream) {
  window_backward_kernel<kRows><<<grid, WindowPlace<kRows>::kThreads, 0, stream>>>(o);
}

/// Whether all rows of two channels begin at an address that suits a pair.
template <class T>
bool suits_pairs(const T *base, std::int64_t stride) {
  return stride % 2 == 0 && reinterpret_cast<std::uintptr_t>(base) % (2 * sizeof(T)) == 0;
}

}  // namespace calm::cuda
