#include <calm/cpp/error.hpp>

#include "cuda/fused.hpp"
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

constexpr int kMost = 48;  // sums of a launch: their list is an argument of at most 4 KB
constexpr int kPieces = 4;

struct Sum {
  const float *x;
  float *out[kPieces];  // null: nobody wants it
  int end[kPieces];     // column behind it
  int rows, columns;
};

struct Sums {
  Sum of[kMost];
  int first_block[kMost + 1];
  int count;
};

/// A block sums 32 columns of one of them: warp w takes the rows w, w + 8, ...
__global__ void __launch_bounds__(kThreads) sum_many_kernel(const __grid_constant__ Sums sums) {
  __shared__ double warps[kWarps][kWarp];
  int k = 0;
  while (static_cast<int>(blockIdx.x) >= sums.first_block[k + 1]) {
    ++k;
  }
  const Sum &sum = sums.of[k];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int column = (static_cast<int>(blockIdx.x) - sums.first_block[k]) * kWarp + lane;
  double own = 0;
  if (column < sum.columns) {
#pragma unroll 4
    for (int r = warp; r < sum.rows; r += kWarps) {
      own += static_cast<double>(
          sum.x[static_cast<std::size_t>(r) * static_cast<std::size_t>(sum.columns) +
                static_cast<std::size_t>(column)]);
    }
  }
  warps[warp][lane] = own;
  __syncthreads();
  if (warp != 0 || column >= sum.columns) {
    return;
  }
  double total = 0;
  for (int w = 0; w < kWarps; ++w) {
    total += warps[w][lane];
  }
  int piece = 0;
  while (piece < kPieces - 1 && column >= sum.end[piece]) {
    ++piece;
  }
  if (sum.out[piece] != nullptr) {
    sum.out[piece][column - (piece == 0 ? 0 : sum.end[piece - 1])] = static_cast<float>(total);
  }
}

void flush(Sums &sums, cudaStream_t stream) {
  if (sums.first_block[sums.count] > 0) {
    sum_many_kernel<<<static_cast<unsigned>(sums.first_block[sums.count]), kThreads, 0, stream>>>(
        sums);
  }
  sums = {};
}

}  // namespace

std::size_t sum_columns_plan(const Node &node) {
  if (node.outs.size() > kPieces) {
    throw Error(CALM_UNSUPPORTED, "no kernel for more than 4 pieces of a sum");
  }
  return 0;
}

void sum_columns_joined(const Launch *launches, std::size_t n) {
  Sums sums{};
  for (std::size_t i = 0; i < n; ++i) {
    const Launch &launch = launches[i];
    if (sums.count == kMost) {
      flush(sums, launch.stream());
    }
    Sum &sum = sums.of[sums.count];
    sum.x = launch.in<float>(0);
    sum.rows = launch.extent(0, 0);
    sum.columns = launch.extent(0, 1);
    int end = 0;
    for (std::uint32_t k = 0; k < kPieces; ++k) {
      end += k < launch.n_out() ? static_cast<int>(launch.i64(k)) : 0;
      sum.out[k] = launch.out<float>(k);
      sum.end[k] = end;
    }
    sums.first_block[sums.count + 1] = sums.first_block[sums.count] + div_up(sum.columns, kWarp);
    ++sums.count;
  }
  flush(sums, launches->stream());
}

void sum_columns(const Launch &launch) { sum_columns_joined(&launch, 1); }

void sum_partials(const double *partial, int n, float *y, cudaStream_t stream) {
  total_kernel<<<1, kThreads, 0, stream>>>(partial, n, y);
}

void sum_columns(const float *x, int rows, int columns, float *first, int split, float *second,
                 cudaStream_t stream) {
  if (first == nullptr && second == nullptr) {
    return;
  }
  Sums sums{};
  sums.count = 1;
  sums.first_block[1] = div_up(columns, kWarp);
  sums.of[0] = {x, {first, second}, {split, columns, columns, columns}, rows, columns};
  flush(sums, stream);
}

}  // namespace calm::cuda
