// split and concat: columns of [T, d] as tensors of their own and back.
#include <calm/ops/columns.h>

#include <algorithm>

#include "cuda/kernels/device.cuh"

namespace calm::cuda {
namespace {

/// The narrow tensors side by side. `wide` holds all of their columns.
struct Pieces {
  float *narrow[CALM_COLUMNS_MAX];
  int first[CALM_COLUMNS_MAX + 1];  // column of each in the wide one
  int n = 0;
  int rows = 0;
};

constexpr int kEach = 4;  // elements a thread moves

/// Grid: elements of the widest piece x pieces.
template <bool kToNarrow>
__global__ void __launch_bounds__(kThreads)
    move_kernel(const __grid_constant__ Pieces pieces, float *__restrict__ wide) {
  const auto p = static_cast<int>(blockIdx.y);
  float *const narrow = pieces.narrow[p];
  if (narrow == nullptr) {
    return;
  }
  const int first = pieces.first[p];
  const int own = pieces.first[p + 1] - first;
  const int width = pieces.first[pieces.n];
  const int all = pieces.rows * own;
  const int begin = static_cast<int>(blockIdx.x) * kThreads * kEach + static_cast<int>(threadIdx.x);
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    const int i = begin + k * kThreads;
    if (i < all) {
      const int row = i / own;
      const int at = row * width + first + (i - row * own);
      if (kToNarrow) {
        narrow[i] = wide[at];
      } else {
        wide[at] = narrow[i];
      }
    }
  }
}

void add_piece(Pieces &pieces, const float *data, std::int64_t width) {
  pieces.narrow[pieces.n] = const_cast<float *>(data);
  pieces.first[pieces.n + 1] = pieces.first[pieces.n] + static_cast<int>(width);
  ++pieces.n;
}

template <bool kToNarrow>
void move(const Launch &launch, const Pieces &pieces, float *wide) {
  int widest = 0;
  for (int p = 0; p < pieces.n; ++p) {
    widest = std::max(widest, pieces.first[p + 1] - pieces.first[p]);
  }
  const std::size_t n = static_cast<std::size_t>(pieces.rows) * static_cast<std::size_t>(widest);
  if (n > 0) {
    const dim3 grid(blocks_of(n, kThreads * kEach), static_cast<unsigned>(pieces.n));
    move_kernel<kToNarrow><<<grid, kThreads, 0, launch.stream()>>>(pieces, wide);
  }
}

}  // namespace

void split(const Launch &launch) {
  Pieces pieces{};
  pieces.rows = launch.extent(0, 0);
  for (std::uint32_t i = 0; i < CALM_COLUMNS_MAX && launch.i64(i) > 0; ++i) {
    add_piece(pieces, launch.out<float>(i), launch.i64(i));
  }
  move<true>(launch, pieces, const_cast<float *>(launch.in<float>(0)));
}

void concat(const Launch &launch) {
  auto *const y = launch.out<float>(0);
  if (y == nullptr) {
    return;
  }
  Pieces pieces{};
  pieces.rows = launch.extent(0, 0);
  for (std::uint32_t i = 0; i < launch.n_in(); ++i) {
    add_piece(pieces, launch.in<float>(i), launch.extent(i, 1));
  }
  move<false>(launch, pieces, y);
}

}  // namespace calm::cuda
