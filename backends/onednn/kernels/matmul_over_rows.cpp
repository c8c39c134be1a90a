// Sums over rows, out[m, n] += sum over t of a[t, m] b[t, n]: gradients of weights
// (calm/ops/matmul.h). Tiles as those of matmul.cpp; rows are added up in order.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/matmul_over_rows.cpp"
#include "onednn/simd.hpp"
// After simd.hpp.
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <calm/ops/matmul.h>

#include <algorithm>

#include "onednn/kernel.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
namespace {

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr std::size_t kLanes = HWY_LANES(float);
// Rows and vectors of a tile.
constexpr std::size_t kRows = kLanes == 1 ? 2 : 6;
constexpr std::size_t kVectors = kLanes >= 16 ? 4 : kLanes == 8 ? 2 : 4;

struct RowSum {
  const float *a, *b;
  std::size_t a_stride, b_stride, rows;
  float *out;
  std::size_t out_stride, columns;
};

/// R rows of `out` and N vectors of columns, the last one whole or not.
template <std::size_t R, std::size_t N, bool whole>
HWY_INLINE void add_rows(const RowSum &p) {
  const D d;
  const auto rest = hn::FirstN(d, p.columns - (N - 1) * kLanes);
  const auto load = [&](const float *from, std::size_t v) HWY_ATTR {
    return whole || v + 1 < N ? hn::LoadU(d, from + v * kLanes)
                              : hn::MaskedLoad(rest, d, from + v * kLanes);
  };
  V sums[R][N];
  for (std::size_t r = 0; r < R; ++r) {
    for (std::size_t v = 0; v < N; ++v) {
      sums[r][v] = hn::Zero(d);
    }
  }
  for (std::size_t t = 0; t < p.rows; ++t) {
    V b[N];
    for (std::size_t v = 0; v < N; ++v) {
      b[v] = load(p.b + t * p.b_stride, v);
    }
    for (std::size_t r = 0; r < R; ++r) {
      const V a = hn::Set(d, p.a[t * p.a_stride + r]);
      for (std::size_t v = 0; v < N; ++v) {
        sums[r][v] = hn::MulAdd(a, b[v], sums[r][v]);
      }
    }
  }
  for (std::size_t r = 0; r < R; ++r) {
    for (std::size_t v = 0; v < N; ++v) {
      float *const to = p.out + r * p.out_stride;
      const V sum = hn::Add(load(to, v), sums[r][v]);
      if (whole || v + 1 < N) {
        hn::StoreU(sum, d, to + v * kLanes);
      } else {
        hn::BlendedStore(sum, rest, d, to + v * kLanes);
      }
    }
  }
}

template <std::size_t N, bool whole>
HWY_NOINLINE void add_columns(RowSum p, std::size_t m) {
  std::size_t i = 0;
  for (; i + kRows <= m; i += kRows) {
    add_rows<kRows, N, whole>(p);
    p.a += kRows;
    p.out += kRows * p.out_stride;
  }
  for (; i < m; ++i) {
    add_rows<1, N, whole>(p);
    ++p.a;
    p.out += p.out_stride;
  }
}

template <std::size_t N>
HWY_INLINE void add_tail(const RowSum &p, std::size_t m) {
  if (p.columns % kLanes == 0) {
    add_columns<N, true>(p, m);
  } else {
    add_columns<N, false>(p, m);
  }
}

}  // namespace

void multiply_over_rows(const Call &call) {
  const std::size_t m = call.node->extent(CALM_MATMUL_A, 1);
  const std::size_t n = call.node->extent(CALM_MATMUL_B, 1);
  RowSum p{};
  p.a_stride = call.ins[CALM_MATMUL_A].stride;
  p.b_stride = call.ins[CALM_MATMUL_B].stride;
  p.rows = call.rows();
  p.out_stride = n;
  if (p.rows == 0) {
    return;
  }
  for (std::size_t c = 0; c < n; c += kVectors * kLanes) {
    p.a = call.ins[CALM_MATMUL_A].at<const float>(call.begin);
    p.b = call.ins[CALM_MATMUL_B].at<const float>(call.begin) + c;
    p.out = call.outs[0].at(0) + c;
    p.columns = std::min(n - c, kVectors * kLanes);
    switch ((p.columns + kLanes - 1) / kLanes) {
      case 1:
        add_tail<1>(p, m);
        break;
      case 2:
        add_tail<std::min<std::size_t>(2, kVectors)>(p, m);
        break;
      case 3:
        add_tail<std::min<std::size_t>(3, kVectors)>(p, m);
        break;
      default:
        add_tail<kVectors>(p, m);
        break;
    }
  }
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {
constexpr Variants kRun = CALM_VARIANTS(multiply_over_rows);
}  // namespace

extern const Kernel kMatmulOverRows;
const Kernel kMatmulOverRows{
    .op = CALM_OP_MATMUL, .signature = "r[T,M] r[T,N] | bb -> r[M,N]", .run = kRun, .sums = 1};

}  // namespace calm::onednn
#endif
