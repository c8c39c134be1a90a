// sum over rows (axis 0), columns (axis 1) or everything (axis -1); broadcast is the reverse.
#include <calm/ops/reduce.h>

#include "cuda/kernels/device.cuh"

namespace calm::cuda {
namespace {

constexpr int kBlock = 4096;  // elements one block of sum_all adds up
constexpr int kGroup = 64;    // rows one block of sum_rows adds up

__global__ void __launch_bounds__(kThreads)
    sum_block_kernel(const float *__restrict__ x, std::size_t n, Parts parts, float *y) {
  const std::size_t first = static_cast<std::size_t>(blockIdx.x) * kBlock;
  double sum = 0;
#pragma unroll 4
  for (int k = 0; k < kBlock / kThreads; ++k) {
    const std::size_t i = first + static_cast<std::size_t>(k * kThreads) + threadIdx.x;
    sum += i < n ? static_cast<double>(x[i]) : 0.0;
  }
  sum = block_sum(sum);
  if (sum_of_blocks(parts, sum, sum) && threadIdx.x == 0) {
    *y = static_cast<float>(sum);
  }
}

/// partial [groups, d]: the sums of 64 rows each.
__global__ void __launch_bounds__(kThreads)
    sum_group_kernel(const float *__restrict__ x, int rows, int d, float *__restrict__ partial) {
  const int column = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (column >= d) {
    return;
  }
  const int first = static_cast<int>(blockIdx.y) * kGroup;
  const int end = min(rows, first + kGroup);
  float sum = 0;
#pragma unroll 8
  for (int t = first; t < end; ++t) {
    sum += x[static_cast<std::size_t>(t) * static_cast<std::size_t>(d) +
             static_cast<std::size_t>(column)];
  }
  partial[static_cast<std::size_t>(blockIdx.y) * static_cast<std::size_t>(d) +
          static_cast<std::size_t>(column)] = sum;
}

__global__ void __launch_bounds__(kThreads)
    sum_row_kernel(const float *__restrict__ x, int rows, int d, float *__restrict__ y) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int t = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  if (t >= rows) {
    return;
  }
  double sum = 0;
  for (int i = lane; i < d; i += kWarp) {
    sum += static_cast<double>(
        x[static_cast<std::size_t>(t) * static_cast<std::size_t>(d) + static_cast<std::size_t>(i)]);
  }
  sum = warp_sum(sum);
  if (lane == 0) {
    y[t] = static_cast<float>(sum);
  }
}

/// y[i] = x[i / by % over].
__global__ void __launch_bounds__(kThreads)
    broadcast_kernel(const float *x, float *y, int n, int by, int over) {
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (i < n) {
    y[i] = x[i / by % over];
  }
}

}  // namespace

std::size_t sum_plan(const Node &node) {
  const std::int64_t axis = node.attrs[CALM_REDUCE_AXIS].i64;
  if (axis < 0) {
    return parts_bytes(div_up<std::size_t>(count(node.ins[0]), kBlock));
  }
  Scratch scratch;
  if (axis == 0) {
    scratch.take<float>(div_up<std::size_t>(node.extent(0, 0), kGroup) * node.extent(0, 1));
  }
  return scratch.used();
}

void sum(const Launch &launch) {
  const auto *const x = launch.in<float>(0);
  auto *const y = launch.out<float>(0);
  if (y == nullptr) {
    return;
  }
  const std::int64_t axis = launch.i64(CALM_REDUCE_AXIS);
  const std::size_t n = count(launch.node().ins[0]);
  if (axis < 0) {
    sum_block_kernel<<<blocks_of_sum(blocks_of(n, kBlock)), kThreads, 0, launch.stream()>>>(
        x, n, parts_of(launch), y);
    return;
  }
  const int rows = launch.extent(0, 0);
  const int d = launch.extent(0, 1);
  if (axis == 0) {
    auto *const partial = Scratch(launch.scratch()).take<float>(1);
    const unsigned groups = blocks_of(static_cast<std::size_t>(rows), kGroup);
    if (n > 0) {
      const dim3 grid(blocks_of(static_cast<std::size_t>(d), kThreads), groups);
      sum_group_kernel<<<grid, kThreads, 0, launch.stream()>>>(x, rows, d, partial);
    }
    sum_columns(partial, static_cast<int>(groups), d, y, d, nullptr, launch.stream());
  } else if (rows > 0) {
    sum_row_kernel<<<blocks_of(static_cast<std::size_t>(rows), kWarps), kThreads, 0,
                     launch.stream()>>>(x, rows, d, y);
  }
}

void broadcast(const Launch &launch) {
  auto *const y = launch.out<float>(0);
  const calm_type &like = launch.node().ins[CALM_BROADCAST_LIKE];
  const std::size_t n = count(like);
  if (y == nullptr || n == 0) {
    return;
  }
  const std::int64_t axis = launch.i64(CALM_REDUCE_AXIS);
  const int all = static_cast<int>(n);
  const int by = axis == 0 ? 1 : axis == 1 ? static_cast<int>(like.shape[1]) : all;
  const int over = axis == 0 ? static_cast<int>(like.shape[1]) : all;
  broadcast_kernel<<<blocks_of(n, kThreads), kThreads, 0, launch.stream()>>>(
      launch.in<float>(CALM_BROADCAST_X), y, all, by, over);
}

}  // namespace calm::cuda
