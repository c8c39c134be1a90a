// add, sub, mul, div with a broadcast second operand; neg, exp, log, sqrt, square, sigmoid, tanh;
// gelu, silu, softplus and gated_silu with their gradients.
#include <calm/ops/gated_silu.h>

#include <cstdint>

#include "cuda/kernels/act.cuh"

namespace calm::cuda {
namespace {

/// f(i) for all i < n.
template <class F>
__global__ void __launch_bounds__(kThreads) each(int n, F f) {
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (i < n) {
    f(i);
  }
}

template <class F>
void for_each(const Launch &launch, std::size_t n, F f) {
  if (n > 0) {
    each<<<blocks_of(n, kThreads), kThreads, 0, launch.stream()>>>(static_cast<int>(n), f);
  }
}

struct Add {
  __device__ static float of(float a, float b) { return a + b; }
};
struct Sub {
  __device__ static float of(float a, float b) { return a - b; }
};
struct Mul {
  __device__ static float of(float a, float b) { return a * b; }
};
struct Div {
  __device__ static float of(float a, float b) { return a / b; }
};

/// How b stretches over a: the same shape, a row, or one number.
template <class Op>
struct Binary {
  const float *a, *b;
  float *y;
  int width;  // of b
  __device__ void operator()(int i) const { y[i] = Op::of(a[i], b[width == 1 ? 0 : i % width]); }
};
template <class Op, class T = float>
struct SameShape {
  const T *a, *b;
  T *y;
  __device__ void operator()(int i) const { y[i] = narrow_to<T>(Op::of(widen(a[i]), widen(b[i]))); }
};

template <class Op>
void binary(const Launch &launch) {
  const auto *const a = launch.in<float>(0);
  const auto *const b = launch.in<float>(1);
  auto *const y = launch.out<float>(0);
  const std::size_t n = count(launch.node().ins[0]);
  const std::size_t nb = count(launch.node().ins[1]);
  if (y == nullptr) {
    return;
  }
  if (n == nb) {
    for_each(launch, n, SameShape<Op>{a, b, y});
  } else {
    for_each(launch, n, Binary<Op>{a, b, y, static_cast<int>(nb)});
  }
}

template <class Op, class T = float>
struct Unary {
  const T *x;
  T *y;
  __device__ void operator()(int i) const { y[i] = narrow_to<T>(Op::of(widen(x[i]))); }
};
template <class Op, class T = float>
void unary(const Launch &launch) {
  if (auto *const y = launch.out<T>(0)) {
    for_each(launch, count(launch.node().ins[0]), Unary<Op, T>{launch.in<T>(0), y});
  }
}

/// y = grad * slope(x).
template <class Op, class T = float>
struct Slope {
  const T *x, *grad;
  T *y;
  __device__ void operator()(int i) const {
    y[i] = narrow_to<T>(widen(grad[i]) * Op::of(widen(x[i])));
  }
};
template <class Op, class T = float>
void slope(const Launch &launch) {
  if (auto *const y = launch.out<T>(0)) {
    for_each(launch, count(launch.node().ins[0]),
             Slope<Op, T>{launch.in<T>(0), launch.in<T>(1), y});
  }
}

/// Eight of them a thread, in reads and writes of 16 bytes; fewer at the end.
template <class Op>
struct SlopeOfEight {
  static constexpr int kEach = 8;
  const Bf16 *x, *grad;
  Bf16 *y;
  int n;
  __device__ void operator()(int i) const {
    const int at = i * kEach;
    const Slope<Op, Bf16> one{x + at, grad + at, y + at};
    if (at + kEach > n) {
      for (int k = 0; k < n - at; ++k) {
        one(k);
      }
      return;
    }
    __align__(16) Bf16 own[kEach];
    __align__(16) Bf16 factor[kEach];
    copy_16(own, x + at);
    copy_16(factor, grad + at);
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      own[k] = narrow_to<Bf16>(widen(factor[k]) * Op::of(widen(own[k])));
    }
    copy_16(y + at, own);
  }
};
template <class Op>
void slope_of_eight(const Launch &launch) {
  const auto *const x = launch.in<Bf16>(0);
  const auto *const grad = launch.in<Bf16>(1);
  auto *const y = launch.out<Bf16>(0);
  const auto is_aligned = [](const void *at) {
    return reinterpret_cast<std::uintptr_t>(at) % 16 == 0;
  };
  if (y == nullptr || !is_aligned(x) || !is_aligned(grad) || !is_aligned(y)) {
    return slope<Op, Bf16>(launch);
  }
  const std::size_t n = count(launch.node().ins[0]);
  for_each(launch, div_up<std::size_t>(n, SlopeOfEight<Op>::kEach),
           SlopeOfEight<Op>{x, grad, y, static_cast<int>(n)});
}

#define CALM_FUNCTION(Name, expression)                        \
  struct Name {                                                \
    __device__ static float of(float x) { return expression; } \
  }
CALM_FUNCTION(Neg, -x);
CALM_FUNCTION(Square, x *x);
CALM_FUNCTION(Sqrt, sqrtf(x));
CALM_FUNCTION(Exp, expf(x));
CALM_FUNCTION(Log, logf(x));
CALM_FUNCTION(Tanh, tanhf(x));
CALM_FUNCTION(SigmoidOf, sigmoid_pair(x).value);
CALM_FUNCTION(Gelu, gelu_of(x));
CALM_FUNCTION(GeluSlope, gelu_slope(x));
CALM_FUNCTION(GeluSlopeFast, gelu_slope_fast(x));
CALM_FUNCTION(Silu, silu_of(x));
CALM_FUNCTION(SiluSlope, silu_slope(x));
CALM_FUNCTION(Softplus, softplus_of(x));
CALM_FUNCTION(SoftplusSlope, softplus_slope(x));
#undef CALM_FUNCTION

struct GatedSilu {
  const float *y, *z;
  float *out;
  __device__ void operator()(int i) const { out[i] = y[i] * silu_of(z[i]); }
};
struct GatedSiluGrad {
  const float *y, *z, *grad;
  float *grad_y, *grad_z;
  __device__ void operator()(int i) const {
    const Sigmoid s = sigmoid_pair(z[i]);
    const float g = grad[i];
    if (grad_y != nullptr) {
      grad_y[i] = g * (bounded_below(z[i]) * s.value);
    }
    if (grad_z != nullptr) {
      grad_z[i] = g * y[i] * (s.value * (1 + bounded(z[i]) * s.rest));
    }
  }
};

}  // namespace

void add(const Launch &launch) {
  if (launch.node().ins[0].dtype != CALM_BF16) {
    binary<Add>(launch);
  } else if (auto *const y = launch.out<Bf16>(0)) {  // of one shape (store.cpp)
    for_each(launch, count(launch.node().ins[0]),
             SameShape<Add, Bf16>{launch.in<Bf16>(0), launch.in<Bf16>(1), y});
  }
}
void sub(const Launch &launch) { binary<Sub>(launch); }
void mul(const Launch &launch) { binary<Mul>(launch); }
void div(const Launch &launch) { binary<Div>(launch); }
void neg(const Launch &launch) { unary<Neg>(launch); }
void square(const Launch &launch) { unary<Square>(launch); }
void sqrt(const Launch &launch) { unary<Sqrt>(launch); }
void exp(const Launch &launch) { unary<Exp>(launch); }
void log(const Launch &launch) { unary<Log>(launch); }
void tanh(const Launch &launch) { unary<Tanh>(launch); }
void sigmoid(const Launch &launch) { unary<SigmoidOf>(launch); }
void gelu(const Launch &launch) {
  with_act(launch.node().ins[0].dtype, [&]<class T>() { unary<Gelu, T>(launch); });
}
void gelu_grad(const Launch &launch) {
  if (launch.node().ins[0].dtype == CALM_BF16) {
    slope_of_eight<GeluSlopeFast>(launch);
  } else {
    slope<GeluSlope>(launch);
  }
}
void silu(const Launch &launch) { unary<Silu>(launch); }
void silu_grad(const Launch &launch) { slope<SiluSlope>(launch); }
void softplus(const Launch &launch) { unary<Softplus>(launch); }
void softplus_grad(const Launch &launch) { slope<SoftplusSlope>(launch); }

void gated_silu(const Launch &launch) {
  if (auto *const out = launch.out<float>(0)) {
    for_each(
        launch, count(launch.node().ins[0]),
        GatedSilu{launch.in<float>(CALM_GATED_SILU_Y), launch.in<float>(CALM_GATED_SILU_Z), out});
  }
}

void gated_silu_grad(const Launch &launch) {
  for_each(launch, count(launch.node().ins[0]),
           GatedSiluGrad{launch.in<float>(CALM_GATED_SILU_Y), launch.in<float>(CALM_GATED_SILU_Z),
                         launch.in<float>(CALM_GATED_SILU_GRAD_GRAD), launch.out<float>(0),
                         launch.out<float>(1)});
}

}  // namespace calm::cuda
