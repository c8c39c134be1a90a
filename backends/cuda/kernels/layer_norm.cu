// y = (x - mean) rstd weight + bias, rstd = 1 / sqrt(var + eps), biased variance (spec E.3). One
// warp a row; the row stays in the first cache between the passes.
//
// Backward, with n = (x - mean) rstd and g = grad weight (Ba et al., arXiv 1607.06450):
//   grad_x = rstd (g - mean(g) - n mean(g n)), grad_weight = sum of grad n, grad_bias = sum of
//   grad.
// A warp sums the columns of its rows, a block its warps, a second launch the blocks.
#include <calm/ops/layer_norm.h>

#include <calm/cpp/error.hpp>

#include <algorithm>
#include <string>

#include "cuda/error.hpp"
#include "cuda/kernels/device.cuh"

namespace calm::cuda {
namespace {

__global__ void __launch_bounds__(kThreads)
    norm_kernel(const float *__restrict__ x, const float *__restrict__ weight,
                const float *__restrict__ bias, float eps, int rows, int d, float *y,
                float *out_mean, float *out_rstd) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int t = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  if (t >= rows) {
    return;
  }
  const std::size_t at = static_cast<std::size_t>(t) * static_cast<std::size_t>(d);
  const float *const row = x + at;
  float sum = 0;
  for (int i = lane; i < d; i += kWarp) {
    sum += row[i];
  }
  const float mean = warp_sum(sum) / static_cast<float>(d);
  float squares = 0;
  for (int i = lane; i < d; i += kWarp) {
    const float centred = row[i] - mean;
    squares += centred * centred;
  }
  const float rstd = 1 / sqrtf(warp_sum(squares) / static_cast<float>(d) + eps);
  if (y != nullptr) {
    for (int i = lane; i < d; i += kWarp) {
      y[at + static_cast<std::size_t>(i)] = (row[i] - mean) * rstd * weight[i] + bias[i];
    }
  }
  if (lane == 0 && out_mean != nullptr) {
    out_mean[t] = mean;
  }
  if (lane == 0 && out_rstd != nullptr) {
    out_rstd[t] = rstd;
  }
}

struct GradOperands {
  const float *x, *weight, *mean, *rstd, *grad;
  float *grad_x;
  float *partial;  // [blocks, 2 d]: weight sums, then bias sums
  int rows, d;
  int own_rows;  // of a block
};

/// Shared memory: 2 d sums a warp, of which each lane owns its columns.
__global__ void __launch_bounds__(kThreads) grad_kernel(GradOperands o) {
  extern __shared__ float sums[];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  float *const own = sums + warp * 2 * o.d;
  for (int i = lane; i < 2 * o.d; i += kWarp) {
    own[i] = 0;
  }
  __syncwarp();
  const int first = static_cast<int>(blockIdx.x) * o.own_rows;
  const int end = min(o.rows, first + o.own_rows);
  const float width = static_cast<float>(o.d);
  for (int t = first + warp; t < end; t += warps) {
    const std::size_t at = static_cast<std::size_t>(t) * static_cast<std::size_t>(o.d);
    const float m = o.mean[t];
    const float r = o.rstd[t];
    float sum_g = 0;
    float sum_gn = 0;
    for (int i = lane; i < o.d; i += kWarp) {
      const float g = o.grad[at + static_cast<std::size_t>(i)];
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
        const float g = o.grad[at + static_cast<std::size_t>(i)] * o.weight[i];
        const float n = (o.x[at + static_cast<std::size_t>(i)] - m) * r;
        o.grad_x[at + static_cast<std::size_t>(i)] = r * (g - mean_g - n * mean_gn);
      }
    }
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < 2 * o.d; i += static_cast<int>(blockDim.x)) {
    float sum = 0;
    for (int w = 0; w < warps; ++w) {
      sum += sums[w * 2 * o.d + i];
    }
    o.partial[static_cast<std::size_t>(blockIdx.x) * static_cast<std::size_t>(2 * o.d) +
              static_cast<std::size_t>(i)] = sum;
  }
}

constexpr int kGradRows = 32;                // of a block
constexpr std::size_t kShared = 200 * 1024;  // bytes a block may have
constexpr std::size_t kPlainShared = 48 * 1024;

std::size_t shared_bytes(std::size_t d, std::size_t warps) { return warps * 2 * d * sizeof(float); }

/// As many warps as have room.
std::size_t grad_warps(std::size_t d) {
  return std::clamp<std::size_t>(kPlainShared / std::max<std::size_t>(shared_bytes(d, 1), 1), 1,
                                 kWarps);
}

}  // namespace

void layer_norm(const Launch &launch) {
  const int rows = launch.extent(CALM_LAYER_NORM_X, 0);
  if (rows > 0) {
    norm_kernel<<<blocks_of(static_cast<std::size_t>(rows), kWarps), kThreads, 0,
                  launch.stream()>>>(
        launch.in<float>(CALM_LAYER_NORM_X), launch.in<float>(CALM_LAYER_NORM_WEIGHT),
        launch.in<float>(CALM_LAYER_NORM_BIAS), static_cast<float>(launch.f64(CALM_LAYER_NORM_EPS)),
        rows, launch.extent(CALM_LAYER_NORM_X, 1), launch.out<float>(CALM_LAYER_NORM_Y),
        launch.out<float>(CALM_LAYER_NORM_MEAN), launch.out<float>(CALM_LAYER_NORM_RSTD));
  }
}

std::size_t layer_norm_grad_plan(const Node &node) {
  const std::size_t d = node.extent(0, 1);
  if (shared_bytes(d, 1) > kShared) {
    throw Error(CALM_UNSUPPORTED, "no kernel for layer_norm_grad over " + std::to_string(d) +
                                      " columns, at most " +
                                      std::to_string(kShared / shared_bytes(1, 1)));
  }
  Scratch scratch;
  scratch.take<float>(blocks_of(node.extent(0, 0), kGradRows) * 2 * d);
  return scratch.used();
}

void layer_norm_grad(const Launch &launch) {
  GradOperands o{};
  o.x = launch.in<float>(CALM_LAYER_NORM_GRAD_X);
  o.weight = launch.in<float>(CALM_LAYER_NORM_GRAD_WEIGHT);
  o.mean = launch.in<float>(CALM_LAYER_NORM_GRAD_MEAN);
  o.rstd = launch.in<float>(CALM_LAYER_NORM_GRAD_RSTD);
  o.grad = launch.in<float>(CALM_LAYER_NORM_GRAD_GRAD);
  o.grad_x = launch.out<float>(0);
  o.rows = launch.extent(CALM_LAYER_NORM_GRAD_X, 0);
  o.d = launch.extent(CALM_LAYER_NORM_GRAD_X, 1);
  o.own_rows = kGradRows;
  const auto d = static_cast<std::size_t>(o.d);
  const unsigned blocks = blocks_of(static_cast<std::size_t>(o.rows), kGradRows);
  Scratch scratch(launch.scratch());
  o.partial = scratch.take<float>(blocks * 2 * d);
  if (blocks > 0) {
    const std::size_t warps = grad_warps(d);
    const std::size_t shared = shared_bytes(d, warps);
    if (shared > kPlainShared) {
      check(cudaFuncSetAttribute(grad_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(shared)),
            "asking for shared memory");
    }
    grad_kernel<<<blocks, static_cast<unsigned>(warps * kWarp), shared, launch.stream()>>>(o);
  }
  sum_columns(o.partial, static_cast<int>(blocks), 2 * o.d, launch.out<float>(1), o.d,
              launch.out<float>(2), launch.stream());
}

}  // namespace calm::cuda
