// rows[t] = table[ids[t]]; table gradient out[v] = sum of grad[t] over t with ids[t] = v.
//
// An id outside the table is never followed: its row is NaN, which the loss and the guard show, and
// it counts for no row of the gradient.
//
// The gradient: a block looks for one id in a stretch of rows, in order; each of its warps adds up
// every eighth row found, then warps are added in order, by sum_columns the stretches (fused.hpp).
#include <calm/ops/embedding.h>

#include "cuda/fused.hpp"
#include "cuda/kernels/device.cuh"

namespace calm::cuda {
namespace {

constexpr int kShort = static_cast<int>(embedding_stretch(0));
constexpr int kLong = static_cast<int>(embedding_stretch(1 << 30));
constexpr int kColumns = 256;  // of one pass: eight a lane
constexpr int kPerLane = kColumns / kWarp;

__global__ void __launch_bounds__(kThreads)
    gather_kernel(const std::int32_t *__restrict__ ids, const float *__restrict__ table, int rows,
                  int vocab, int d, float *__restrict__ out) {
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  const int t = i / d;
  if (t >= rows) {
    return;
  }
  const std::int32_t id = ids[t];
  out[i] = id >= 0 && id < vocab
               ? table[static_cast<std::size_t>(id) * static_cast<std::size_t>(d) +
                       static_cast<std::size_t>(i - t * d)]
               : __int_as_float(0x7fffffff);
}

/// Grid: ids x stretches. partial [stretches, vocab, d].
template <int kStretch>
__global__ void __launch_bounds__(kThreads)
    scatter_kernel(const std::int32_t *__restrict__ ids, const float *__restrict__ grad, int rows,
                   int d, float *__restrict__ partial) {
  __shared__ int found[kStretch];
  __shared__ int counts[kWarps];
  __shared__ float sums[kWarps][kColumns];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int id = static_cast<int>(blockIdx.x);
  const int first = static_cast<int>(blockIdx.y) * kStretch;
  // Each warp lists its 128 rows; then the lists are put end to end.
  constexpr int kOwn = kStretch / kWarps;
  unsigned hits[kOwn / kWarp];
  int own = 0;
#pragma unroll
  for (int k = 0; k < kOwn / kWarp; ++k) {
    const int t = first + warp * kOwn + k * kWarp + lane;
    hits[k] = __ballot_sync(kAll, t < rows && ids[t] == id);
    own += __popc(hits[k]);
  }
  if (lane == 0) {
    counts[warp] = own;
  }
  __syncthreads();
  int at = 0;
  int all = 0;
  for (int w = 0; w < kWarps; ++w) {
    at += w < warp ? counts[w] : 0;
    all += counts[w];
  }
#pragma unroll
  for (int k = 0; k < kOwn / kWarp; ++k) {
    if (((hits[k] >> lane) & 1U) != 0) {
      found[at + __popc(hits[k] & ((1U << lane) - 1U))] = first + warp * kOwn + k * kWarp + lane;
    }
    at += __popc(hits[k]);
  }
  __syncthreads();
  float *const out = partial + (static_cast<std::size_t>(blockIdx.y) * gridDim.x + blockIdx.x) *
                                   static_cast<std::size_t>(d);
  for (int column = 0; column < d; column += kColumns) {
    float sum[kPerLane] = {};
#pragma unroll 4
    for (int k = warp; k < all; k += kWarps) {
      const float *const row =
          grad + static_cast<std::size_t>(found[k]) * static_cast<std::size_t>(d) + column;
#pragma unroll
      for (int j = 0; j < kPerLane; ++j) {
        if (column + j * kWarp + lane < d) {
          sum[j] += row[j * kWarp + lane];
        }
      }
    }
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
      sums[warp][j * kWarp + lane] = sum[j];
    }
    __syncthreads();
    const int c = static_cast<int>(threadIdx.x);
    if (column + c < d) {
      float total = 0;
      for (int w = 0; w < kWarps; ++w) {
        total += sums[w][c];
      }
      out[column + c] = total;
    }
    __syncthreads();
  }
}

}  // namespace

void embedding(const Launch &launch) {
  auto *const out = launch.out<float>(0);
  const std::size_t n = static_cast<std::size_t>(launch.extent(CALM_EMBEDDING_IDS, 0)) *
                        static_cast<std::size_t>(launch.extent(CALM_EMBEDDING_TABLE, 1));
  if (out != nullptr && n > 0) {
    gather_kernel<<<blocks_of(n, kThreads), kThreads, 0, launch.stream()>>>(
        launch.in<std::int32_t>(CALM_EMBEDDING_IDS), launch.in<float>(CALM_EMBEDDING_TABLE),
        launch.extent(CALM_EMBEDDING_IDS, 0), launch.extent(CALM_EMBEDDING_TABLE, 0),
        launch.extent(CALM_EMBEDDING_TABLE, 1), out);
  }
}

void embedding_grad(const Launch &launch) {
  auto *const parts = launch.out<float>(0);
  const int rows = launch.extent(CALM_EMBEDDING_GRAD_IDS, 0);
  const int d = launch.extent(CALM_EMBEDDING_GRAD_GRAD, 1);
  const auto vocab = static_cast<unsigned>(launch.i64(CALM_EMBEDDING_GRAD_ROWS));
  if (parts == nullptr || vocab == 0 || d == 0 || rows == 0) {
    return;
  }
  const auto *const ids = launch.in<std::int32_t>(CALM_EMBEDDING_GRAD_IDS);
  const auto *const grad = launch.in<float>(CALM_EMBEDDING_GRAD_GRAD);
  const auto stretch = static_cast<int>(embedding_stretch(rows));
  const dim3 grid(vocab, static_cast<unsigned>(div_up(rows, stretch)));
  auto *const kernel = stretch == kShort ? scatter_kernel<kShort> : scatter_kernel<kLong>;
  kernel<<<grid, kThreads, 0, launch.stream()>>>(ids, grad, rows, d, parts);
}

}  // namespace calm::cuda
