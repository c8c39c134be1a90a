// Sums of columns, in double: of 64 columns a block's warp w adds up the rows w, w + 8, ... in
// order, then the eight sums are added in order. Eight rows of a warp are on their way at a time,
// the last ones too: what sums wait for is memory, and most have few rows.
#include <calm/cpp/error.hpp>

#include "cuda/fused.hpp"
#include "cuda/kernels/device.cuh"
#include "cuda/kernels/joined.cuh"

namespace calm::cuda {
namespace {

constexpr int kMost = 48;  // sums of a launch: their list is an argument of at most 4 KB
constexpr int kPieces = 4;
constexpr int kAtOnce = 8;  // rows
constexpr int kPerLane = 2;
constexpr int kColumns = kPerLane * kWarp;  // of a block

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

/// Grid: 64 columns of a sum each.
__global__ void __launch_bounds__(kThreads) sum_many_kernel(const __grid_constant__ Sums sums) {
  __shared__ double warps[kWarps][kColumns];
  const auto block = static_cast<int>(blockIdx.x);
  const int k = tensor_of_block(sums.first_block, sums.count, block);
  const Sum &sum = sums.of[k];
  const int rows = sum.rows;
  const int columns = sum.columns;
  const int first = (block - sums.first_block[k]) * kColumns;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const float *from = sum.x + static_cast<std::size_t>(warp) * static_cast<std::size_t>(columns) +
                      static_cast<std::size_t>(first + lane);
  const std::size_t step = static_cast<std::size_t>(kWarps) * static_cast<std::size_t>(columns);
  double own[kPerLane] = {};
  for (int r = warp; r < rows; r += kAtOnce * kWarps) {
    float x[kAtOnce][kPerLane];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
#pragma unroll
      for (int j = 0; j < kPerLane; ++j) {
        // No sum is -0, which adding nothing would change.
        x[i][j] = r + i * kWarps < rows && first + j * kWarp + lane < columns ? from[j * kWarp] : 0;
      }
      from += step;
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
#pragma unroll
      for (int j = 0; j < kPerLane; ++j) {
        own[j] += static_cast<double>(x[i][j]);
      }
    }
  }
#pragma unroll
  for (int j = 0; j < kPerLane; ++j) {
    warps[warp][j * kWarp + lane] = own[j];
  }
  __syncthreads();
  const int column = first + static_cast<int>(threadIdx.x);
  if (threadIdx.x >= kColumns || column >= columns) {
    return;
  }
  double total = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    total += warps[w][threadIdx.x];
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
    sums.first_block[sums.count + 1] = sums.first_block[sums.count] + div_up(sum.columns, kColumns);
    ++sums.count;
  }
  flush(sums, launches->stream());
}

void sum_columns(const Launch &launch) { sum_columns_joined(&launch, 1); }

void sum_columns(const float *x, int rows, int columns, float *first, int split, float *second,
                 cudaStream_t stream) {
  if (first == nullptr && second == nullptr) {
    return;
  }
  Sums sums{};
  sums.count = 1;
  sums.first_block[1] = div_up(columns, kColumns);
  sums.of[0] = {x, {first, second}, {split, columns, columns, columns}, rows, columns};
  flush(sums, stream);
}

}  // namespace calm::cuda
