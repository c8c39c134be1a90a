// split and concat: columns of [T, d] as tensors of their own and back (calm/ops/columns.h).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/columns.cpp"
#include "onednn/simd.hpp"
// After simd.hpp, which says for which targets.
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "onednn/kernel.hpp"
#include "onednn/rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace {

/// A call's rows of n columns, from column `skip` of one operand to column `at` of the other.
HWY_INLINE void copy_columns(const Call &call, Operand from, std::size_t skip, Operand to,
                             std::size_t at, std::size_t n) {
  for (std::size_t row = call.begin; row < call.end; ++row) {
    const float *const x = from.at<const float>(row) + skip;
    float *const y = to.at(row) + at;
    for_vectors(
        n, [&](std::size_t i, auto lanes) CALM_SIMD { lanes.store(lanes.load(x + i), y + i); });
  }
}

}  // namespace

void split(const Call &call) {
  std::size_t column = 0;
  for (std::size_t i = 0; i < call.node->attrs.size() && call.node->attrs[i].i64 > 0; ++i) {
    const auto width = static_cast<std::size_t>(call.node->attrs[i].i64);
    if (const Operand out = output(call, i)) {
      copy_columns(call, call.ins[0], column, out, 0, width);
    }
    column += width;
  }
}

void concat(const Call &call) {
  const Operand out = output(call, 0);
  std::size_t column = 0;
  for (std::uint32_t i = 0; out && i < call.node->ins.size(); ++i) {
    const std::size_t width = call.node->extent(i, 1);
    copy_columns(call, call.ins[i], 0, out, column, width);
    column += width;
  }
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {

constexpr Variants kSplitRun = CALM_VARIANTS(split);
constexpr Variants kConcatRun = CALM_VARIANTS(concat);

}  // namespace

extern const Kernel kSplit, kConcat;
const Kernel kSplit{.op = "split", .signature = "r[T,d] | iiiiiiii -> r[T,_]{8}", .run = kSplitRun};
const Kernel kConcat{.op = "concat", .signature = "r[T,_]{8} -> r[T,d]", .run = kConcatRun};

}  // namespace calm::onednn
#endif
