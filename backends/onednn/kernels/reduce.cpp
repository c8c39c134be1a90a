// sum over rows (axis 0), columns (axis 1) or everything (axis -1), added up in double; broadcast
// is the reverse (calm/ops/reduce.h). A kernel for each axis: only two of the three sums cross
// rows.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/reduce.cpp"
#include "onednn/simd.hpp"
// After simd.hpp, which says for which targets.
#include <calm/ops/reduce.h>

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "onednn/kernel.hpp"
#include "onednn/rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace {

constexpr Doubles kDoubles{};
constexpr HalfFloats kHalf{};
using DoubleVector = hn::Vec<Doubles>;

HWY_INLINE DoubleVector load_wide(const float *p) {
  return hn::PromoteTo(kDoubles, hn::LoadU(kHalf, p));
}

/// Vectors summed side by side: a sum waits for the sum before.
constexpr std::size_t kTile = 4;

HWY_INLINE double sum_run(const float *x, std::size_t n) {
  const std::size_t step = hn::Lanes(kDoubles);
  DoubleVector sums[kTile];
  for (DoubleVector &sum : sums) {
    sum = hn::Zero(kDoubles);
  }
  std::size_t i = 0;
  for (; i + kTile * step <= n; i += kTile * step) {
    for (std::size_t v = 0; v < kTile; ++v) {
      sums[v] = hn::Add(sums[v], load_wide(x + i + v * step));
    }
  }
  for (; i + step <= n; i += step) {
    sums[0] = hn::Add(sums[0], load_wide(x + i));
  }
  const DoubleVector all = hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]));
  double sum = hn::GetLane(hn::SumOfLanes(kDoubles, all));
  for (; i < n; ++i) {
    sum += static_cast<double>(x[i]);
  }
  return sum;
}

/// Adds kVectors vectors of columns from `first` on to their sums.
template <std::size_t kVectors>
HWY_INLINE void add_columns(const Call &call, std::size_t first, double *to) {
  const std::size_t step = hn::Lanes(kDoubles);
  DoubleVector sums[kVectors];
  for (std::size_t v = 0; v < kVectors; ++v) {
    sums[v] = hn::LoadU(kDoubles, to + v * step);
  }
  for (std::size_t row = call.begin; row < call.end; ++row) {
    const float *const x = call.ins[0].at<const float>(row) + first;
    for (std::size_t v = 0; v < kVectors; ++v) {
      sums[v] = hn::Add(sums[v], load_wide(x + v * step));
    }
  }
  for (std::size_t v = 0; v < kVectors; ++v) {
    hn::StoreU(sums[v], kDoubles, to + v * step);
  }
}

HWY_INLINE void fill_run(float value, float *y, std::size_t n) {
  const Vector v = hn::Set(kFloats, value);
  for_vectors(n, [&](std::size_t i, auto lanes) CALM_SIMD { lanes.store(v, y + i); });
}

}  // namespace

void sum_all(const Call &call) {
  if (const Operand out = output(call, 0)) {
    double &total = *out.at<double>(0);
    for_runs(call, record_width(call.node->ins[0]), {call.ins[0]},
             [&](std::size_t record, std::size_t n)
                 CALM_SIMD { total += sum_run(call.ins[0].at<const float>(record), n); });
  }
}

void sum_rows(const Call &call) {
  const Operand out = output(call, 0);
  if (!out) {
    return;
  }
  const std::size_t d = call.node->extent(0, 1);
  const std::size_t step = hn::Lanes(kDoubles);
  double *const sums = out.at<double>(0);
  std::size_t i = 0;
  for (; i + kTile * step <= d; i += kTile * step) {
    add_columns<kTile>(call, i, sums + i);
  }
  for (; i + step <= d; i += step) {
    add_columns<1>(call, i, sums + i);
  }
  for (; i < d; ++i) {
    for (std::size_t row = call.begin; row < call.end; ++row) {
      sums[i] += static_cast<double>(call.ins[0].at<const float>(row)[i]);
    }
  }
}

void sum_columns(const Call &call) {
  const Operand out = output(call, 0);
  for (std::size_t row = call.begin; out && row < call.end; ++row) {
    *out.at(row) =
        static_cast<float>(sum_run(call.ins[0].at<const float>(row), call.node->extent(0, 1)));
  }
}

void broadcast_all(const Call &call) {
  if (const Operand out = output(call, 0)) {
    const float value = call.scalar(CALM_BROADCAST_X);
    for_runs(call, record_width(call.node->ins[CALM_BROADCAST_LIKE]), {out},
             [&](std::size_t record, std::size_t n)
                 CALM_SIMD { fill_run(value, out.at(record), n); });
  }
}

void broadcast_rows(const Call &call) {
  const Operand out = output(call, 0);
  const float *const x = call.ins[CALM_BROADCAST_X].at<const float>(0);
  for (std::size_t row = call.begin; out && row < call.end; ++row) {
    float *const y = out.at(row);
    for_vectors(call.node->extent(CALM_BROADCAST_LIKE, 1),
                [&](std::size_t i, auto lanes)
                    CALM_SIMD { lanes.store(lanes.load(x + i), y + i); });
  }
}

void broadcast_columns(const Call &call) {
  const Operand out = output(call, 0);
  for (std::size_t row = call.begin; out && row < call.end; ++row) {
    fill_run(*call.ins[CALM_BROADCAST_X].at<const float>(row), out.at(row),
             call.node->extent(CALM_BROADCAST_LIKE, 1));
  }
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {

template <std::int64_t kAxis>
bool has_axis(const Node &node) {
  return node.attrs[CALM_REDUCE_AXIS].i64 == kAxis;
}

constexpr Variants kSumAllRun = CALM_VARIANTS(sum_all);
constexpr Variants kSumRowsRun = CALM_VARIANTS(sum_rows);
constexpr Variants kSumColumnsRun = CALM_VARIANTS(sum_columns);
constexpr Variants kBroadcastAllRun = CALM_VARIANTS(broadcast_all);
constexpr Variants kBroadcastRowsRun = CALM_VARIANTS(broadcast_rows);
constexpr Variants kBroadcastColumnsRun = CALM_VARIANTS(broadcast_columns);

}  // namespace

extern const Kernel kSumAll, kSumRows, kSumColumns;
const Kernel kSumAll{.op = "sum",
                     .signature = "r* | i -> r[]",
                     .run = kSumAllRun,
                     .sums = 0b1,
                     .wide = 0b1,
                     .fits = has_axis<-1>};
const Kernel kSumRows{.op = "sum",
                      .signature = "r[T,d] | i -> r[d]",
                      .run = kSumRowsRun,
                      .sums = 0b1,
                      .wide = 0b1,
                      .fits = has_axis<0>};
const Kernel kSumColumns{
    .op = "sum", .signature = "r[T,d] | i -> r[T]", .run = kSumColumnsRun, .fits = has_axis<1>};

extern const Kernel kBroadcastAll, kBroadcastRows, kBroadcastColumns;
const Kernel kBroadcastAll{.op = "broadcast",
                           .signature = "r[] r* | i -> r*",
                           .run = kBroadcastAllRun,
                           .fits = has_axis<-1>};
const Kernel kBroadcastRows{.op = "broadcast",
                            .signature = "r[d] r[T,d] | i -> r[T,d]",
                            .run = kBroadcastRowsRun,
                            .fits = has_axis<0>};
const Kernel kBroadcastColumns{.op = "broadcast",
                               .signature = "r[T] r[T,d] | i -> r[T,d]",
                               .run = kBroadcastColumnsRun,
                               .fits = has_axis<1>};

}  // namespace calm::onednn
#endif
