// accumulate, adamw (calm/ops/optimizer.h; AdamW is Loshchilov & Hutter, arXiv 1711.05101,
// algorithm 2), ewc_penalty and fisher (calm/ops/ewc.h), elementwise on flat groups.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/optimizer.cpp"
#include "onednn/simd.hpp"
// After simd.hpp, which says for which targets.
#include <calm/ops/ewc.h>
#include <calm/ops/optimizer.h>

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>

#include "onednn/kernel.hpp"
#include "onednn/rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {

void accumulate(const Call &call) {
  const Operand out = output(call, 0);
  const Operand sum = call.ins[CALM_ACCUMULATE_SUM];
  const Operand value = call.ins[CALM_ACCUMULATE_VALUE];
  if (!out) {
    return;
  }
  // Chosen, not multiplied by: the first sum is never read.
  const bool first = call.scalar<std::int32_t>(CALM_ACCUMULATE_FIRST) != 0;
  for_runs(call, record_width(call.node->ins[0]), {out, sum, value},
           [&](std::size_t record, std::size_t n) CALM_SIMD {
             const float *const x = value.at<const float>(record);
             const float *const before = first ? nullptr : sum.at<const float>(record);
             float *const y = out.at(record);
             for_vectors(n, [&](std::size_t i, auto lanes) CALM_SIMD {
               const Vector v = lanes.load(x + i);
               lanes.store(before == nullptr ? v : hn::Add(lanes.load(before + i), v), y + i);
             });
           });
}

namespace {

/// Numbers of the whole step, computed in double.
struct Step {
  Vector clip, keep, keep_m, take_m, keep_v, take_v, step, per_root_bias2, eps;

  explicit Step(const Call &call) {
    const auto attr = [&](std::size_t i) { return call.node->attrs[i].f64; };
    const auto scalar = [&](std::uint32_t i) { return static_cast<double>(call.scalar(i)); };
    const auto set = [](double x) HWY_ATTR { return hn::Set(kFloats, static_cast<float>(x)); };
    const double lr = scalar(CALM_ADAMW_LR);
    const double coefficient = scalar(CALM_ADAMW_COEFFICIENT);
    clip = set(coefficient < 1 ? coefficient : 1);
    keep = set(1 - lr * attr(CALM_ADAMW_WEIGHT_DECAY));
    keep_m = set(attr(CALM_ADAMW_BETA1));
    take_m = set(1 - attr(CALM_ADAMW_BETA1));
    keep_v = set(attr(CALM_ADAMW_BETA2));
    take_v = set(1 - attr(CALM_ADAMW_BETA2));
    step = set(lr / scalar(CALM_ADAMW_BIAS1));
    per_root_bias2 = set(1 / std::sqrt(scalar(CALM_ADAMW_BIAS2)));
    eps = set(attr(CALM_ADAMW_EPS));
  }
};

}  // namespace

void adamw(const Call &call) {
  const Operand param = call.ins[CALM_ADAMW_PARAM];
  const Operand grad = call.ins[CALM_ADAMW_GRAD];
  const Operand m = call.ins[CALM_ADAMW_M];
  const Operand v = call.ins[CALM_ADAMW_V];
  const Operand outs[] = {output(call, 0), output(call, 1), output(call, 2)};
  const bool go = call.scalar<std::int32_t>(CALM_ADAMW_GO) != 0;
  const Step s(call);
  for_runs(call, 1, {param, grad, m, v, outs[0], outs[1], outs[2]},
           [&](std::size_t record, std::size_t n) CALM_SIMD {
             const float *const p0 = param.at<const float>(record);
             const float *const g0 = grad.at<const float>(record);
             const float *const m0 = m.at<const float>(record);
             const float *const v0 = v.at<const float>(record);
             float *to[3];
             for (std::size_t k = 0; k < 3; ++k) {
               to[k] = outs[k] ? outs[k].at(record) : nullptr;
             }
             for_vectors(n, [&](std::size_t i, auto lanes) CALM_SIMD {
               Vector p = lanes.load(p0 + i);
               Vector new_m = lanes.load(m0 + i);
               Vector new_v = lanes.load(v0 + i);
               if (go) {
                 const Vector g = hn::Mul(lanes.load(g0 + i), s.clip);
                 new_m = hn::MulAdd(s.keep_m, new_m, hn::Mul(s.take_m, g));
                 new_v = hn::MulAdd(s.keep_v, new_v, hn::Mul(hn::Mul(s.take_v, g), g));
                 const Vector root = hn::MulAdd(hn::Sqrt(new_v), s.per_root_bias2, s.eps);
                 p = hn::NegMulAdd(s.step, hn::Div(new_m, root), hn::Mul(p, s.keep));
               }
               if (to[0] != nullptr) {
                 lanes.store(p, to[0] + i);
               }
               if (to[1] != nullptr) {
                 lanes.store(new_m, to[1] + i);
               }
               if (to[2] != nullptr) {
                 lanes.store(new_v, to[2] + i);
               }
             });
           });
}

void ewc_penalty(const Call &call) {
  const Operand grad = call.ins[CALM_EWC_PENALTY_GRAD];
  const Operand param = call.ins[CALM_EWC_PENALTY_PARAM];
  const Operand fisher = call.ins[CALM_EWC_PENALTY_FISHER];
  const Operand anchor = call.ins[CALM_EWC_PENALTY_ANCHOR];
  const Operand out = output(call, 0);
  const Operand sum = output(call, 1);
  const Vector scale = hn::Set(kFloats, call.scalar(CALM_EWC_PENALTY_SCALE));
  for_runs(call, 1, {grad, param, fisher, anchor, out},
           [&](std::size_t record, std::size_t n) CALM_SIMD {
             const float *const g = grad.at<const float>(record);
             const float *const p = param.at<const float>(record);
             const float *const f = fisher.at<const float>(record);
             const float *const a = anchor.at<const float>(record);
             if (sum) {
               double total = 0;
               for (std::size_t i = 0; i < n; ++i) {
                 const double moved = static_cast<double>(p[i] - a[i]);
                 total += static_cast<double>(f[i]) * moved * moved;
               }
               *sum.at<double>(0) += total;
             }
             if (out) {
               float *const to = out.at(record);
               for_vectors(n, [&](std::size_t i, auto lanes) CALM_SIMD {
                 const Vector moved = hn::Sub(lanes.load(p + i), lanes.load(a + i));
                 const Vector pull = hn::Mul(hn::Mul(scale, lanes.load(f + i)), moved);
                 lanes.store(hn::Add(lanes.load(g + i), pull), to + i);
               });
             }
           });
}

void fisher(const Call &call) {
  const Vector keep = hn::Set(kFloats, call.scalar(CALM_FISHER_KEEP));
  const Vector take = hn::Set(kFloats, call.scalar(CALM_FISHER_TAKE));
  map<2>(call, [=](Vector old, Vector grad)
                   CALM_SIMD { return hn::MulAdd(keep, old, hn::Mul(hn::Mul(take, grad), grad)); });
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {

constexpr Variants kAccumulateRun = CALM_VARIANTS(accumulate);
constexpr Variants kAdamwRun = CALM_VARIANTS(adamw);
constexpr Variants kEwcPenaltyRun = CALM_VARIANTS(ewc_penalty);
constexpr Variants kFisherRun = CALM_VARIANTS(fisher);

}  // namespace

// The rows of flat groups are their elements.
extern const Kernel kAccumulate, kAdamw, kEwcPenalty, kFisher;
const Kernel kAccumulate{.op = "accumulate", .signature = "r* r* i[] -> r*", .run = kAccumulateRun};
const Kernel kAdamw{.op = "adamw",
                    .signature = "r[T] r[T] r[T] r[T] r[] r[] r[] r[] i[] | ffff -> r[T] r[T] r[T]",
                    .run = kAdamwRun};
const Kernel kEwcPenalty{.op = "ewc_penalty",
                         .signature = "r[T] r[T] r[T] r[T] r[] -> r[T] r[]",
                         .run = kEwcPenaltyRun,
                         .sums = 0b10,
                         .wide = 0b10};
const Kernel kFisher{.op = "fisher", .signature = "r[T] r[T] r[] r[] -> r[T]", .run = kFisherRun};

}  // namespace calm::onednn
#endif
