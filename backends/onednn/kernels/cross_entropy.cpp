// loss = sum over rows with target >= 0 of logsumexp(logits[t]) - logits[t, target] (spec F);
// its gradient (softmax(logits[t]) - onehot(target)) grad, exactly 0 in rows that do not count.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/cross_entropy.cpp"
#include "onednn/simd.hpp"
// After simd.hpp, which says for which targets.
#include <calm/ops/cross_entropy.h>

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>

#include "onednn/kernel.hpp"
#include "onednn/math-inl.hpp"
#include "onednn/rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace {

/// log of the sum of e^x over n numbers, shifted by the largest.
HWY_INLINE double log_sum_exp(const float *x, std::size_t n) {
  const Vector top = max_of(x, n);
  const float sum = sum_of(n, [&](std::size_t i, auto lanes) CALM_SIMD {
    return lanes.or_zero(exp_of(kFloats, hn::Sub(lanes.load(x + i), top)));
  });
  return static_cast<double>(hn::GetLane(top)) + std::log(static_cast<double>(sum));
}

}  // namespace

void cross_entropy(const Call &call) {
  const std::size_t vocab = call.node->extent(CALM_CROSS_ENTROPY_LOGITS, 1);
  const Operand loss = output(call, CALM_CROSS_ENTROPY_LOSS);
  const Operand lse = output(call, CALM_CROSS_ENTROPY_LSE);
  double sum = 0;
  for (std::size_t row = call.begin; row < call.end; ++row) {
    const std::int32_t target = *call.ins[CALM_CROSS_ENTROPY_TARGETS].at<const std::int32_t>(row);
    float row_lse = 0;
    if (target >= 0) {
      const float *const x = call.ins[CALM_CROSS_ENTROPY_LOGITS].at<const float>(row);
      const double log_sum = log_sum_exp(x, vocab);
      sum += log_sum - static_cast<double>(x[target]);
      row_lse = static_cast<float>(log_sum);
    }
    if (lse) {
      *lse.at(row) = row_lse;
    }
  }
  if (loss) {
    *loss.at<double>(0) += sum;
  }
}

void cross_entropy_grad(const Call &call) {
  const Operand out = output(call, 0);
  if (!out) {
    return;
  }
  const std::size_t vocab = call.node->extent(CALM_CROSS_ENTROPY_LOGITS, 1);
  const float grad = call.scalar(CALM_CROSS_ENTROPY_GRAD_GRAD);
  const Vector g = hn::Set(kFloats, grad);
  for (std::size_t row = call.begin; row < call.end; ++row) {
    const std::int32_t target = *call.ins[CALM_CROSS_ENTROPY_TARGETS].at<const std::int32_t>(row);
    float *const to = out.at(row);
    if (target < 0) {
      for_vectors(vocab, [&](std::size_t i, auto lanes)
                             CALM_SIMD { lanes.store(hn::Zero(kFloats), to + i); });
      continue;
    }
    const float *const x = call.ins[CALM_CROSS_ENTROPY_LOGITS].at<const float>(row);
    const Vector lse =
        hn::Set(kFloats, *call.ins[CALM_CROSS_ENTROPY_GRAD_LSE].at<const float>(row));
    for_vectors(vocab, [&](std::size_t i, auto lanes) CALM_SIMD {
      lanes.store(hn::Mul(exp_of(kFloats, hn::Sub(lanes.load(x + i), lse)), g), to + i);
    });
    to[target] -= grad;
  }
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {

constexpr Variants kCrossEntropyRun = CALM_VARIANTS(cross_entropy);
constexpr Variants kCrossEntropyGradRun = CALM_VARIANTS(cross_entropy_grad);

}  // namespace

extern const Kernel kCrossEntropy, kCrossEntropyGrad;
const Kernel kCrossEntropy{.op = "cross_entropy",
                           .signature = "r[T,V] i[T] -> r[] r[T]",
                           .run = kCrossEntropyRun,
                           .sums = 0b1,
                           .wide = 0b1};
const Kernel kCrossEntropyGrad{.op = "cross_entropy_grad",
                               .signature = "r[T,V] i[T] r[T] r[] -> r[T,V]",
                               .run = kCrossEntropyGradRun};

}  // namespace calm::onednn
#endif
