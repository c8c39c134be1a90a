// rows[t] = table[ids[t]]; table gradient out[v] = sum of grad[t] over t with ids[t] = v.
//
// An id outside the table is never followed: its row is NaN, which the loss and the guard show, and
// it counts for no row of the gradient.
//
// The gradient: a block adds up one id's rows. Of a stretch of 256 rows a warp lists those that
// have the id, in order, and adds up every eighth of them, then these eight sums in order;
// stretches are added in double, every eighth, then these in order. So nothing is left to be added
// later.
#include <calm/ops/embedding.h>

#include "cuda/kernels/device.cuh"

namespace calm::cuda {
namespace {

constexpr int kBlock = 512;  // threads that add up one id's rows
constexpr int kScanners = kBlock / kWarp;
constexpr int kStretch = 256;
constexpr int kSums = 8;            // side by side
constexpr int kAtOnce = 2 * kSums;  // rows on their way to a warp
constexpr int kPerLane = 2;         // columns
constexpr int kColumns = kPerLane * kWarp;
static_assert(kBlock == kSums * kColumns && kScanners % kSums == 0);
static_assert(kAtOnce == sizeof(uint4) && kStretch % kAtOnce == 0);

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

/// The rows of a stretch that have the id, as distances from its first, in order; how many. Behind
/// them the first row, until there are as many as are read at once.
__device__ int find_rows(const std::int32_t *__restrict__ ids, int rows, int first, int id,
                         std::uint8_t *found) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  unsigned hits[kStretch / kWarp];
#pragma unroll
  for (int k = 0; k < kStretch / kWarp; ++k) {
    const int t = first + k * kWarp + lane;
    hits[k] = __ballot_sync(kAll, t < rows && ids[t] == id);
  }
  int all = 0;
#pragma unroll
  for (int k = 0; k < kStretch / kWarp; ++k) {
    if ((hits[k] >> lane & 1U) != 0) {
      found[all + __popc(hits[k] & ((1U << lane) - 1U))] =
          static_cast<std::uint8_t>(k * kWarp + lane);
    }
    all += __popc(hits[k]);
  }
  if (lane < kAtOnce && all + lane < kStretch) {
    found[all + lane] = 0;
  }
  __syncwarp();
  return all;
}

/// to[c] = the sum of columns c of `all` rows. `grad` is at the stretch's first row and at the
/// block's first column, of which there are `columns`.
__device__ void add_rows(const float *__restrict__ grad, int d, int columns,
                         const std::uint8_t *found, int all, float *to) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float sum[kSums][kPerLane] = {};
  for (int k = 0; k < all; k += kAtOnce) {
    const uint4 list = *reinterpret_cast<const uint4 *>(found + k);
    const unsigned words[] = {list.x, list.y, list.z, list.w};
    float x[kAtOnce][kPerLane];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const unsigned row = words[i / 4] >> (i % 4 * 8) & 0xffU;
      const float *const from =
          grad + static_cast<std::size_t>(row) * static_cast<std::size_t>(d) + lane;
#pragma unroll
      for (int j = 0; j < kPerLane; ++j) {
        x[i][j] = j * kWarp + lane < columns ? from[j * kWarp] : 0.0F;
      }
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
#pragma unroll
      for (int j = 0; j < kPerLane; ++j) {
        // No sum is -0, which adding nothing would change.
        sum[i % kSums][j] += k + i < all ? x[i][j] : 0.0F;
      }
    }
  }
#pragma unroll
  for (int j = 0; j < kPerLane; ++j) {
    float total = 0;
#pragma unroll
    for (int i = 0; i < kSums; ++i) {
      total += sum[i][j];
    }
    to[j * kWarp + lane] = total;
  }
}

/// Grid: ids x columns by 64.
__global__ void __launch_bounds__(kBlock, 2)
    scatter_kernel(const std::int32_t *__restrict__ ids, const float *__restrict__ grad, int rows,
                   int d, float *__restrict__ out) {
  __shared__ __align__(16) std::uint8_t found[kScanners][kStretch];
  __shared__ float sums[kScanners][kColumns];
  __shared__ double totals[kSums][kColumns];
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int id = static_cast<int>(blockIdx.x);
  const int column = static_cast<int>(blockIdx.y) * kColumns;
  // A thread adds every eighth stretch of a column.
  const int own = static_cast<int>(threadIdx.x) / kColumns;
  const int c = static_cast<int>(threadIdx.x) % kColumns;
  double total = 0;
  for (int begin = 0; begin < rows; begin += kScanners * kStretch) {
    const int first = begin + warp * kStretch;
    const int all = find_rows(ids, rows, first, id, found[warp]);
    add_rows(grad + static_cast<std::size_t>(first) * static_cast<std::size_t>(d) + column, d,
             d - column, found[warp], all, sums[warp]);
    __syncthreads();
#pragma unroll
    for (int w = 0; w < kScanners; w += kSums) {
      total += static_cast<double>(sums[w + own][c]);
    }
    __syncthreads();
  }
  totals[own][c] = total;
  __syncthreads();
  if (own == 0 && column + c < d) {
    double sum = 0;
#pragma unroll
    for (int i = 0; i < kSums; ++i) {
      sum += totals[i][c];
    }
    out[static_cast<std::size_t>(id) * static_cast<std::size_t>(d) +
        static_cast<std::size_t>(column + c)] = static_cast<float>(sum);
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
  auto *const out = launch.out<float>(0);
  const int d = launch.extent(CALM_EMBEDDING_GRAD_GRAD, 1);
  const auto vocab = static_cast<unsigned>(launch.i64(CALM_EMBEDDING_GRAD_ROWS));
  if (out == nullptr || vocab == 0 || d == 0) {
    return;
  }
  const dim3 grid(vocab, static_cast<unsigned>(div_up(d, kColumns)));
  scatter_kernel<<<grid, kBlock, 0, launch.stream()>>>(
      launch.in<std::int32_t>(CALM_EMBEDDING_GRAD_IDS), launch.in<float>(CALM_EMBEDDING_GRAD_GRAD),
      launch.extent(CALM_EMBEDDING_GRAD_IDS, 0), d, out);
}

}  // namespace calm::cuda
