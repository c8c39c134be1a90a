// Uniform and normal draws (calm/ops/random.h, program rule 11): Philox4x32-10 by (lane / 4, row,
// micro step, stream); normals by Box & Muller (1958), computed in double.
#include <calm/ops/random.h>

#include "cuda/error.hpp"
#include "cuda/kernels/device.cuh"
#include "cuda/kernels/random.cuh"

namespace calm::cuda {
namespace {

constexpr int kLanes = 4;  // words of one Philox block

struct Draw {
  const std::int64_t *seed;
  const std::int32_t *row_base, *micro_step;
  float *out;
  std::uint32_t stream;
  int rows, lanes, blocks;  // blocks of four lanes a row
};

/// One thread a Philox block.
template <bool kNormal>
__global__ void __launch_bounds__(kThreads) draw_kernel(Draw o) {
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  const int row = i / o.blocks;
  if (row >= o.rows) {
    return;
  }
  const int block = i - row * o.blocks;
  const Philox w = philox(static_cast<std::uint64_t>(*o.seed), static_cast<std::uint32_t>(block),
                          static_cast<std::uint32_t>(row) + static_cast<std::uint32_t>(*o.row_base),
                          static_cast<std::uint32_t>(*o.micro_step), o.stream);
  float drawn[kLanes];
#pragma unroll
  for (int j = 0; j < kLanes; j += 2) {
    if (kNormal) {
      const double unit = static_cast<double>(w.word[j] >> 8) * 0x1p-24;
      const double radius = ::sqrt(-2 * ::log(unit + 0x1p-24));
      double sine = 0;
      double cosine = 0;
      sincospi(2 * (static_cast<double>(w.word[j + 1] >> 8) * 0x1p-24), &sine, &cosine);
      drawn[j] = static_cast<float>(radius * cosine);
      drawn[j + 1] = static_cast<float>(radius * sine);
    } else {
      drawn[j] = uniform_of(w.word[j]);
      drawn[j + 1] = uniform_of(w.word[j + 1]);
    }
  }
#pragma unroll
  for (int j = 0; j < kLanes; ++j) {
    if (block * kLanes + j < o.lanes) {
      o.out[row * o.lanes + block * kLanes + j] = drawn[j];
    }
  }
}

template <bool kNormal>
void draw(const Launch &launch) {
  const calm_type &like = launch.node().ins[CALM_RANDOM_LIKE];
  const std::size_t n = count(like);
  Draw o{};
  o.out = launch.out<float>(0);
  if (o.out == nullptr || n == 0) {
    return;
  }
  if (const auto *const given = launch.in<float>(CALM_RANDOM_DRAW)) {
    check(
        cudaMemcpyAsync(o.out, given, n * sizeof(float), cudaMemcpyDeviceToDevice, launch.stream()),
        "copying a draw");
    return;
  }
  const std::int64_t stream = launch.i64(CALM_RANDOM_STREAM);
  o.seed = launch.in<std::int64_t>(CALM_RANDOM_SEED);
  o.row_base = launch.in<std::int32_t>(CALM_RANDOM_ROW_BASE);
  o.micro_step = launch.in<std::int32_t>(CALM_RANDOM_MICRO_STEP);
  o.stream = stream == 0 ? launch.node().stream : static_cast<std::uint32_t>(stream);
  o.rows = like.rank == 0 ? 1 : static_cast<int>(like.shape[0]);
  o.lanes = static_cast<int>(n) / o.rows;
  o.blocks = div_up(o.lanes, kLanes);
  const std::size_t all = static_cast<std::size_t>(o.rows) * static_cast<std::size_t>(o.blocks);
  draw_kernel<kNormal><<<blocks_of(all, kThreads), kThreads, 0, launch.stream()>>>(o);
}

}  // namespace

void random_uniform(const Launch &launch) { draw<false>(launch); }
void random_normal(const Launch &launch) { draw<true>(launch); }

}  // namespace calm::cuda
