// Operators of whole rows: l2_normalize (y = x / max(norm, eps), spec G) with its gradient, pool
// (the mean of a sequence's rows or its last row; an empty one gives 0, spec G) with its gradient.
//
// l2_normalize backward: grad_x = (grad - y (y . grad)) / norm, the part of grad across y; where
// eps stands for the norm the divisor is constant and grad_x = grad / eps.
#include <calm/ops/l2_normalize.h>
#include <calm/ops/pool.h>

#include "cuda/kernels/device.cuh"

namespace calm::cuda {
namespace {

__global__ void __launch_bounds__(kThreads)
    normalize_kernel(const float *__restrict__ x, double eps, int rows, int d, float *y,
                     float *norms) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int t = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  if (t >= rows) {
    return;
  }
  const std::size_t at = static_cast<std::size_t>(t) * static_cast<std::size_t>(d);
  double sum = 0;
  for (int i = lane; i < d; i += kWarp) {
    const auto v = static_cast<double>(x[at + static_cast<std::size_t>(i)]);
    sum += v * v;
  }
  const double norm = ::sqrt(warp_sum(sum));
  const double divisor = norm > eps ? norm : eps;
  if (y != nullptr) {
    for (int i = lane; i < d; i += kWarp) {
      y[at + static_cast<std::size_t>(i)] =
          static_cast<float>(static_cast<double>(x[at + static_cast<std::size_t>(i)]) / divisor);
    }
  }
  if (lane == 0 && norms != nullptr) {
    norms[t] = static_cast<float>(norm);
  }
}

__global__ void __launch_bounds__(kThreads)
    normalize_grad_kernel(const float *__restrict__ y, const float *__restrict__ norms,
                          const float *__restrict__ grad, double eps, int rows, int d,
                          float *__restrict__ out) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int t = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  if (t >= rows) {
    return;
  }
  const std::size_t at = static_cast<std::size_t>(t) * static_cast<std::size_t>(d);
  const auto norm = static_cast<double>(norms[t]);
  const bool free = norm > eps;
  double along = 0;
  for (int i = lane; free && i < d; i += kWarp) {
    along += static_cast<double>(y[at + static_cast<std::size_t>(i)]) *
             static_cast<double>(grad[at + static_cast<std::size_t>(i)]);
  }
  along = warp_sum(along);
  const double divisor = free ? norm : eps;
  for (int i = lane; i < d; i += kWarp) {
    const std::size_t k = at + static_cast<std::size_t>(i);
    out[k] = static_cast<float>((static_cast<double>(grad[k]) - static_cast<double>(y[k]) * along) /
                                divisor);
  }
}

/// Offsets are taken as rows of the batch whatever they say.
__device__ int row_of(int offset, int rows) { return min(max(offset, 0), rows); }

/// Grid: sequences x blocks of columns.
__global__ void __launch_bounds__(kThreads)
    pool_kernel(const float *__restrict__ x, const std::int32_t *__restrict__ offsets, int rows,
                int d, bool last, float *__restrict__ y) {
  const int s = static_cast<int>(blockIdx.x);
  const int column = static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x);
  if (column >= d) {
    return;
  }
  const int begin = row_of(offsets[s], rows);
  const int end = row_of(offsets[s + 1], rows);
  double sum = 0;
#pragma unroll 8
  for (int t = last && end > begin ? end - 1 : begin; t < end; ++t) {
    sum += static_cast<double>(x[static_cast<std::size_t>(t) * static_cast<std::size_t>(d) +
                                 static_cast<std::size_t>(column)]);
  }
  const double rows_of_it = last || end == begin ? 1 : static_cast<double>(end - begin);
  y[static_cast<std::size_t>(s) * static_cast<std::size_t>(d) + static_cast<std::size_t>(column)] =
      static_cast<float>(sum / rows_of_it);
}

/// Grid: sequences x blocks of columns; the last "sequence" is the dead rows.
__global__ void __launch_bounds__(kThreads)
    pool_grad_kernel(const std::int32_t *__restrict__ offsets, const float *__restrict__ grad,
                     int rows, int sequences, int d, bool last, float *__restrict__ out) {
  const int s = static_cast<int>(blockIdx.x);
  const int column = static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x);
  if (column >= d) {
    return;
  }
  const bool dead = s == sequences;
  const int begin = row_of(offsets[s], rows);
  const int end = dead ? rows : row_of(offsets[s + 1], rows);
  const float own = dead ? 0
                         : grad[static_cast<std::size_t>(s) * static_cast<std::size_t>(d) +
                                static_cast<std::size_t>(column)];
  const float share = last ? own : own * (1 / static_cast<float>(end - begin));
  for (int t = begin; t < end; ++t) {
    out[static_cast<std::size_t>(t) * static_cast<std::size_t>(d) +
        static_cast<std::size_t>(column)] = dead || (last && t + 1 < end) ? 0 : share;
  }
}

unsigned blocks_of_rows(int rows) { return blocks_of(static_cast<std::size_t>(rows), kWarps); }

}  // namespace

void l2_normalize(const Launch &launch) {
  const int rows = launch.extent(CALM_L2_NORMALIZE_X, 0);
  if (rows > 0) {
    normalize_kernel<<<blocks_of_rows(rows), kThreads, 0, launch.stream()>>>(
        launch.in<float>(CALM_L2_NORMALIZE_X), launch.f64(CALM_L2_NORMALIZE_EPS), rows,
        launch.extent(CALM_L2_NORMALIZE_X, 1), launch.out<float>(CALM_L2_NORMALIZE_Y),
        launch.out<float>(CALM_L2_NORMALIZE_NORM));
  }
}

void l2_normalize_grad(const Launch &launch) {
  const int rows = launch.extent(CALM_L2_NORMALIZE_GRAD_Y, 0);
  auto *const out = launch.out<float>(0);
  if (rows > 0 && out != nullptr) {
    normalize_grad_kernel<<<blocks_of_rows(rows), kThreads, 0, launch.stream()>>>(
        launch.in<float>(CALM_L2_NORMALIZE_GRAD_Y), launch.in<float>(CALM_L2_NORMALIZE_GRAD_NORM),
        launch.in<float>(CALM_L2_NORMALIZE_GRAD_GRAD), launch.f64(CALM_L2_NORMALIZE_EPS), rows,
        launch.extent(CALM_L2_NORMALIZE_GRAD_Y, 1), out);
  }
}

void pool(const Launch &launch) {
  auto *const y = launch.out<float>(0);
  const int sequences = launch.extent(CALM_POOL_OFFSETS, 0) - 1;
  const int d = launch.extent(CALM_POOL_X, 1);
  if (y != nullptr && sequences > 0 && d > 0) {
    const dim3 grid(static_cast<unsigned>(sequences),
                    blocks_of(static_cast<std::size_t>(d), kThreads));
    pool_kernel<<<grid, kThreads, 0, launch.stream()>>>(
        launch.in<float>(CALM_POOL_X), launch.in<std::int32_t>(CALM_POOL_OFFSETS),
        launch.extent(CALM_POOL_X, 0), d, launch.i64(CALM_POOL_MODE) == CALM_POOL_LAST, y);
  }
}

void pool_grad(const Launch &launch) {
  auto *const out = launch.out<float>(0);
  const int sequences = launch.extent(CALM_POOL_OFFSETS, 0) - 1;
  const int d = launch.extent(CALM_POOL_X, 1);
  if (out != nullptr && d > 0) {
    const dim3 grid(static_cast<unsigned>(sequences + 1),
                    blocks_of(static_cast<std::size_t>(d), kThreads));
    pool_grad_kernel<<<grid, kThreads, 0, launch.stream()>>>(
        launch.in<std::int32_t>(CALM_POOL_OFFSETS), launch.in<float>(CALM_POOL_GRAD_GRAD),
        launch.extent(CALM_POOL_X, 0), sequences, d, launch.i64(CALM_POOL_MODE) == CALM_POOL_LAST,
        out);
  }
}

}  // namespace calm::cuda
