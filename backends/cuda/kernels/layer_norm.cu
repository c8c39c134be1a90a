// y = (x - mean) rstd weight + bias, rstd = 1 / sqrt(var + eps), biased variance (spec E.3). One
// warp a row, which stays in registers or, where it has another width, in the first cache.
//
// Backward, with n = (x - mean) rstd and g = grad weight (Ba et al., arXiv 1607.06450):
//   grad_x = rstd (g - mean(g) - n mean(g n)), grad_weight = sum of grad n, grad_bias = sum of
//   grad.
// A warp sums the columns of its rows, a block its warps; sum_columns adds up the blocks
// (fused.hpp).
#include <calm/ops/layer_norm.h>

#include <calm/cpp/error.hpp>

#include <algorithm>
#include <string>

#include "cuda/error.hpp"
#include "cuda/fused.hpp"
#include "cuda/kernels/act.cuh"

namespace calm::cuda {
namespace {

template <class T>
struct Operands {
  const float *x, *weight, *bias;
  float eps;
  T *y;                // or null
  float *mean, *rstd;  // or null
  int rows, d;

  __device__ void store(int t, float own_mean, float own_rstd) const {
    if (threadIdx.x % kWarp == 0 && mean != nullptr) {
      mean[t] = own_mean;
    }
    if (threadIdx.x % kWarp == 0 && rstd != nullptr) {
      rstd[t] = own_rstd;
    }
  }
};

/// A row of which each lane has kEach columns.
template <class T, int kEach>
__global__ void __launch_bounds__(kThreads) norm_kernel(Operands<T> o) {
  constexpr int kWidth = kEach * kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int t = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  if (t >= o.rows) {
    return;
  }
  const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(t) * kWidth + lane;
  float x[kEach];
  float weight[kEach];
  float bias[kEach];
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    x[k] = o.x[at + k * kWarp];
  }
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    weight[k] = o.weight[lane + k * kWarp];
    bias[k] = o.bias[lane + k * kWarp];
  }
  float sum = 0;
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    sum += x[k];
  }
  const float mean = warp_sum(sum) / kWidth;
  float squares = 0;
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    x[k] -= mean;
    squares += x[k] * x[k];
  }
  const float rstd = 1 / sqrtf(warp_sum(squares) / kWidth + o.eps);
  if (o.y != nullptr) {
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      o.y[at + k * kWarp] = narrow_to<T>(x[k] * rstd * weight[k] + bias[k]);
    }
  }
  o.store(t, mean, rstd);
}

/// Any number of columns.
template <class T>
__global__ void __launch_bounds__(kThreads) wide_norm_kernel(Operands<T> o) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int t = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  if (t >= o.rows) {
    return;
  }
  const std::size_t at = static_cast<std::size_t>(t) * static_cast<std::size_t>(o.d);
  const float *const row = o.x + at;
  const auto width = static_cast<float>(o.d);
  float sum = 0;
  for (int i = lane; i < o.d; i += kWarp) {
    sum += row[i];
  }
  const float mean = warp_sum(sum) / width;
  float squares = 0;
  for (int i = lane; i < o.d; i += kWarp) {
    const float centred = row[i] - mean;
    squares += centred * centred;
  }
  const float rstd = 1 / sqrtf(warp_sum(squares) / width + o.eps);
  if (o.y != nullptr) {
    for (int i = lane; i < o.d; i += kWarp) {
      o.y[at + static_cast<std::size_t>(i)] =
          narrow_to<T>((row[i] - mean) * rstd * o.weight[i] + o.bias[i]);
    }
  }
  o.store(t, mean, rstd);
}

/// f<columns of a lane>() where a row of d columns can be in registers, as those of all presets
/// can; else f<0>().
template <class F>
void with_columns(int d, const F &f) {
  switch (d) {
    case 2 * kWarp:
      return f.template operator()<2>();
    case 3 * kWarp:
      return f.template operator()<3>();
    case 4 * kWarp:
      return f.template operator()<4>();
    case 6 * kWarp:
      return f.template operator()<6>();
    default:
      return f.template operator()<0>();
  }
}

/// The block's row of `to` [blocks, 2 d]: what its warps left in `sums` [warps, 2 d], added in
/// order.
__device__ void add_warps(const float *sums, int warps, int d, float *to) {
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < 2 * d; i += static_cast<int>(blockDim.x)) {
    float sum = 0;
    for (int w = 0; w < warps; ++w) {
      sum += sums[w * 2 * d + i];
    }
    to[static_cast<std::size_t>(blockIdx.x) * static_cast<std::size_t>(2 * d) +
       static_cast<std::size_t>(i)] = sum;
  }
}

template <class T>
struct GradOperands {
  const float *x, *weight, *mean, *rstd;
  const T *grad;
  const float *residual;  // added to grad_x, or null
  float *grad_x;
  T *copy;      // of grad_x, or null
  float *sums;  // [blocks, 2 d]: weight sums, then bias sums; or null
  int rows, d;
  int part;  // rows of a block
};

/// A row of which each lane has kEach columns, in registers: with as many columns in all, the sums
/// over the block's rows too. Shared memory: 2 d sums a warp.
template <class T, int kEach>
__global__ void __launch_bounds__(kThreads) grad_kernel(GradOperands<T> o) {
  extern __shared__ float sums[];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  const int first = static_cast<int>(blockIdx.x) * o.part;
  const int end = min(o.rows, first + o.part);
  constexpr float kWidth = kEach * kWarp;
  float weight[kEach];
  float sum_weight[kEach] = {};
  float sum_bias[kEach] = {};
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    weight[k] = o.weight[lane + k * kWarp];
  }
#pragma unroll 1
  for (int t = first + warp; t < end; t += warps) {
    const std::size_t at = static_cast<std::size_t>(t) * static_cast<std::size_t>(o.d) +
                           static_cast<std::size_t>(lane);
    const float m = o.mean[t];
    const float r = o.rstd[t];
    float g[kEach];
    float n[kEach];
    float more[kEach];
    float sum_g = 0;
    float sum_gn = 0;
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      const std::size_t cell = at + static_cast<std::size_t>(k * kWarp);
      g[k] = widen(o.grad[cell]);
      n[k] = (o.x[cell] - m) * r;
      more[k] = o.residual != nullptr ? o.residual[cell] : 0;
    }
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      sum_weight[k] += g[k] * n[k];
      sum_bias[k] += g[k];
      g[k] *= weight[k];
      sum_g += g[k];
      sum_gn += g[k] * n[k];
    }
    if (o.grad_x != nullptr) {
      const float mean_g = warp_sum(sum_g) / kWidth;
      const float mean_gn = warp_sum(sum_gn) / kWidth;
#pragma unroll
      for (int k = 0; k < kEach; ++k) {
        const std::size_t cell = at + static_cast<std::size_t>(k * kWarp);
        const float grad = r * (g[k] - mean_g - n[k] * mean_gn) + more[k];
        o.grad_x[cell] = grad;
        if (o.copy != nullptr) {
          o.copy[cell] = narrow_to<T>(grad);
        }
      }
    }
  }
  if (o.sums == nullptr) {
    return;
  }
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    sums[warp * 2 * o.d + lane + k * kWarp] = sum_weight[k];
    sums[warp * 2 * o.d + o.d + lane + k * kWarp] = sum_bias[k];
  }
  add_warps(sums, warps, o.d, o.sums);
}

/// Any number of columns: the sums of a warp's rows stay in shared memory, of which each lane owns
/// its columns.
template <class T>
__global__ void __launch_bounds__(kThreads) wide_grad_kernel(GradOperands<T> o) {
  extern __shared__ float sums[];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  float *const own = sums + warp * 2 * o.d;
  for (int i = lane; i < 2 * o.d; i += kWarp) {
    own[i] = 0;
  }
  __syncwarp();
  const int first = static_cast<int>(blockIdx.x) * o.part;
  const int end = min(o.rows, first + o.part);
  const float width = static_cast<float>(o.d);
  for (int t = first + warp; t < end; t += warps) {
    const std::size_t at = static_cast<std::size_t>(t) * static_cast<std::size_t>(o.d);
    const float m = o.mean[t];
    const float r = o.rstd[t];
    float sum_g = 0;
    float sum_gn = 0;
    for (int i = lane; i < o.d; i += kWarp) {
      const float g = widen(o.grad[at + static_cast<std::size_t>(i)]);
      const float n = (o.x[at + static_cast<std::size_t>(i)] - m) * r;
      own[i] += g * n;
      own[o.d + i] += g;
      sum_g += g * o.weight[i];
      sum_gn += g * o.weight[i] * n;
    }
    if (o.grad_x != nullptr) {
      const float mean_g = warp_sum(sum_g) / width;
      const float mean_gn = warp_sum(sum_gn) / width;
      for (int i = lane; i < o.d; i += kWarp) {
        const std::size_t cell = at + static_cast<std::size_t>(i);
        const float g = widen(o.grad[cell]) * o.weight[i];
        const float n = (o.x[cell] - m) * r;
        const float more = o.residual != nullptr ? o.residual[cell] : 0;
        const float grad = r * (g - mean_g - n * mean_gn) + more;
        o.grad_x[cell] = grad;
        if (o.copy != nullptr) {
          o.copy[cell] = narrow_to<T>(grad);
        }
      }
    }
  }
  if (o.sums != nullptr) {
    add_warps(sums, warps, o.d, o.sums);
  }
}

constexpr std::size_t kShared = 200 * 1024;  // bytes a block may have
constexpr std::size_t kPlainShared = 48 * 1024;

std::size_t shared_bytes(std::size_t d, std::size_t warps) { return warps * 2 * d * sizeof(float); }

/// As many warps as have room.
std::size_t grad_warps(std::size_t d) {
  return std::clamp<std::size_t>(kPlainShared / std::max<std::size_t>(shared_bytes(d, 1), 1), 1,
                                 kWarps);
}

template <class T>
void run_grad(const GradOperands<T> &o, cudaStream_t stream) {
  const auto d = static_cast<std::size_t>(o.d);
  const unsigned blocks =
      blocks_of(static_cast<std::size_t>(o.rows), static_cast<std::size_t>(o.part));
  const auto launch = [&](auto *kernel, std::size_t warps) {
    const std::size_t shared = shared_bytes(d, warps);
    if (shared > kPlainShared) {
      check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(shared)),
            "asking for shared memory");
    }
    kernel<<<blocks, static_cast<unsigned>(warps * kWarp), shared, stream>>>(o);
  };
  if (blocks == 0) {
    return;
  }
  with_columns(o.d, [&]<int kEach>() {
    if constexpr (kEach > 0) {
      launch(grad_kernel<T, kEach>, kWarps);
    } else {
      launch(wide_grad_kernel<T>, grad_warps(d));
    }
  });
}

}  // namespace

void layer_norm(const Launch &launch) {
  with_act(launch.node().outs[CALM_LAYER_NORM_Y].dtype, [&]<class T>() {
    Operands<T> o{};
    o.x = launch.in<float>(CALM_LAYER_NORM_X);
    o.weight = launch.in<float>(CALM_LAYER_NORM_WEIGHT);
    o.bias = launch.in<float>(CALM_LAYER_NORM_BIAS);
    o.eps = static_cast<float>(launch.f64(CALM_LAYER_NORM_EPS));
    o.y = launch.out<T>(CALM_LAYER_NORM_Y);
    o.mean = launch.out<float>(CALM_LAYER_NORM_MEAN);
    o.rstd = launch.out<float>(CALM_LAYER_NORM_RSTD);
    o.rows = launch.extent(CALM_LAYER_NORM_X, 0);
    o.d = launch.extent(CALM_LAYER_NORM_X, 1);
    const unsigned blocks = blocks_of(static_cast<std::size_t>(o.rows), kWarps);
    if (blocks == 0) {
      return;
    }
    with_columns(o.d, [&]<int kEach>() {
      if constexpr (kEach > 0) {
        norm_kernel<T, kEach><<<blocks, kThreads, 0, launch.stream()>>>(o);
      } else {
        wide_norm_kernel<T><<<blocks, kThreads, 0, launch.stream()>>>(o);
      }
    });
  });
}

std::size_t layer_norm_grad_plan(const Node &node) {
  const std::size_t d = node.extent(0, 1);
  if (shared_bytes(d, 1) > kShared) {
    throw Error(CALM_UNSUPPORTED, "no kernel for layer_norm_grad over " + std::to_string(d) +
                                      " columns, at most " +
                                      std::to_string(kShared / shared_bytes(1, 1)));
  }
  return 0;
}

void layer_norm_grad(const Launch &launch) {
  with_act(launch.node().ins[CALM_LAYER_NORM_GRAD_GRAD].dtype, [&]<class T>() {
    GradOperands<T> o{};
    o.x = launch.in<float>(CALM_LAYER_NORM_GRAD_X);
    o.weight = launch.in<float>(CALM_LAYER_NORM_GRAD_WEIGHT);
    o.mean = launch.in<float>(CALM_LAYER_NORM_GRAD_MEAN);
    o.rstd = launch.in<float>(CALM_LAYER_NORM_GRAD_RSTD);
    o.grad = launch.in<T>(CALM_LAYER_NORM_GRAD_GRAD);
    o.residual = launch.in<float>(kNormGradResidual);
    o.grad_x = launch.out<float>(kNormGradX);
    o.sums = launch.out<float>(kNormGradSums);
    o.copy = launch.out<T>(kNormGradCopy);
    o.rows = launch.extent(CALM_LAYER_NORM_GRAD_X, 0);
    o.d = launch.extent(CALM_LAYER_NORM_GRAD_X, 1);
    o.part = static_cast<int>(norm_grad_rows(o.rows));
    run_grad(o, launch.stream());
  });
}

}  // namespace calm::cuda
