#include "cuda/kernels/device.cuh"

namespace calm::cuda {
namespace {

__global__ void __launch_bounds__(kThreads) total_kernel(const double *partial, int n, float *y) {
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) {
    sum += partial[i];
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    *y = static_cast<float>(sum);
  }
}

/// A block sums 32 columns: warp w takes the rows w, w + 8, ...
__global__ void __launch_bounds__(kThreads)
    sum_columns_kernel(const float *__restrict__ x, int rows, int columns, float *first, int split,
                       float *second) {
  __shared__ double sums[kWarps][kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int column = static_cast<int>(blockIdx.x) * kWarp + lane;
  double sum = 0;
  if (column < columns) {
#pragma unroll 4
    for (int r = warp; r < rows; r += kWarps) {
      sum += static_cast<double>(x[static_cast<std::size_t>(r) * static_cast<std::size_t>(columns) +
                                   static_cast<std::size_t>(column)]);
    }
  }
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp == 0 && column < columns) {
    double total = 0;
    for (int w = 0; w < kWarps; ++w) {
      total += sums[w][lane];
    }
    float *const out = column < split ? first : second;
    if (out != nullptr) {
      out[column < split ? column : column - split] = static_cast<float>(total);
    }
  }
}

}  // namespace

void sum_partials(const double *partial, int n, float *y, cudaStream_t stream) {
  total_kernel<<<1, kThreads, 0, stream>>>(partial, n, y);
}

void sum_columns(const float *x, int rows, int columns, float *first, int split, float *second,
                 cudaStream_t stream) {
  if (columns > 0 && (first != nullptr || second != nullptr)) {
    sum_columns_kernel<<<blocks_of(static_cast<std::size_t>(columns), kWarp), kThreads, 0,
                         stream>>>(x, rows, columns, first, split, second);
  }
}

}  // namespace calm::cuda
