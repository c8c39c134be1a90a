// add, sub, mul, div with a broadcast second operand; neg, square, sqrt (calm/ops/elementwise.h).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/elementwise.cpp"
#include "onednn/simd.hpp"
// After simd.hpp, which says for which targets.
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "onednn/kernel.hpp"
#include "onednn/rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace {

/// The second operand is one record: a scalar, or a row that repeats along a record of the first.
template <class F>
HWY_INLINE void with_repeated(const Call &call, F f) {
  const Operand a = call.ins[0];
  const Operand out = call.outs[0];
  const float *const b = call.ins[1].at<const float>(0);
  const std::size_t width = record_width(call.node->ins[0]);
  if (call.node->ins[1].rank == 0) {
    const Vector scalar = hn::Set(kFloats, *b);
    for_runs(call, width, {a, out}, [&](std::size_t record, std::size_t n) CALM_SIMD {
      const float *const x = a.at<const float>(record);
      float *const y = out.at(record);
      for_vectors(n, [&](std::size_t i, auto lanes)
                         CALM_SIMD { lanes.store(f(lanes.load(x + i), scalar), y + i); });
    });
    return;
  }
  const std::size_t nb = call.node->extent(1, 0);
  for (std::size_t record = call.begin; record < call.end; ++record) {
    for (std::size_t at = 0; at < width; at += nb) {
      const float *const x = a.at<const float>(record) + at;
      float *const y = out.at(record) + at;
      for_vectors(nb, [&](std::size_t i, auto lanes) CALM_SIMD {
        lanes.store(f(lanes.load(x + i), lanes.load(b + i)), y + i);
      });
    }
  }
}

template <class F>
HWY_INLINE void binary(const Call &call, F f) {
  const calm_type &a = call.node->ins[0];
  const calm_type &b = call.node->ins[1];
  if (a.rank == b.rank) {
    map<2>(call, f);
  } else if (output(call, 0)) {
    with_repeated(call, f);
  }
}

}  // namespace

void add(const Call &call) {
  binary(call, [](Vector a, Vector b) CALM_SIMD { return hn::Add(a, b); });
}
void sub(const Call &call) {
  binary(call, [](Vector a, Vector b) CALM_SIMD { return hn::Sub(a, b); });
}
void mul(const Call &call) {
  binary(call, [](Vector a, Vector b) CALM_SIMD { return hn::Mul(a, b); });
}
void div(const Call &call) {
  binary(call, [](Vector a, Vector b) CALM_SIMD { return hn::Div(a, b); });
}
void neg(const Call &call) {
  map<1>(call, [](Vector x) CALM_SIMD { return hn::Neg(x); });
}
void square(const Call &call) {
  map<1>(call, [](Vector x) CALM_SIMD { return hn::Mul(x, x); });
}
void sqrt(const Call &call) {
  map<1>(call, [](Vector x) CALM_SIMD { return hn::Sqrt(x); });
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {

constexpr Variants kAddRun = CALM_VARIANTS(add);
constexpr Variants kSubRun = CALM_VARIANTS(sub);
constexpr Variants kMulRun = CALM_VARIANTS(mul);
constexpr Variants kDivRun = CALM_VARIANTS(div);
constexpr Variants kNegRun = CALM_VARIANTS(neg);
constexpr Variants kSquareRun = CALM_VARIANTS(square);
constexpr Variants kSqrtRun = CALM_VARIANTS(sqrt);

}  // namespace

extern const Kernel kAdd, kSub, kMul, kDiv, kNeg, kSquare, kSqrt;
const Kernel kAdd{.op = "add", .signature = "r* r~ -> r*", .run = kAddRun};
const Kernel kSub{.op = "sub", .signature = "r* r~ -> r*", .run = kSubRun};
const Kernel kMul{.op = "mul", .signature = "r* r~ -> r*", .run = kMulRun};
const Kernel kDiv{.op = "div", .signature = "r* r~ -> r*", .run = kDivRun};
const Kernel kNeg{.op = "neg", .signature = "r* -> r*", .run = kNegRun};
const Kernel kSquare{.op = "square", .signature = "r* -> r*", .run = kSquareRun};
const Kernel kSqrt{.op = "sqrt", .signature = "r* -> r*", .run = kSqrtRun};

}  // namespace calm::onednn
#endif
