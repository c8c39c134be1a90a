// One token a row: temperature, min-p, top-k, top-p, one draw (spec D.1), and its log-probability
// before filtering (spec D.2). The greedy choice, one a token of a decoder, is three passes over
// the logits; the filters work on the list of ids that are still in.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/sample.cpp"
#include "onednn/simd.hpp"
// After simd.hpp, which says for which targets.
#include <calm/ops/sample.h>

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>

#include "onednn/kernel.hpp"
#include "onednn/kernels/sample.hpp"
#include "onednn/math-inl.hpp"
#include "onednn/rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace {

/// The first of the n numbers that equals `top`; 0 when none does (NaN).
HWY_INLINE std::size_t find_first(const float *x, std::size_t n, Vector top) {
  const std::size_t lanes = hn::Lanes(kFloats);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto at = hn::FindFirstTrue(kFloats, hn::Eq(hn::LoadU(kFloats, x + i), top));
    if (at >= 0) {
      return i + static_cast<std::size_t>(at);
    }
  }
  for (; i < n; ++i) {
    if (x[i] == hn::GetLane(top)) {
      return i;
    }
  }
  return 0;
}

/// e^((x - top) / scale): scaled after the subtraction, so that however small the scale is, the
/// largest is 0 and not infinite.
HWY_INLINE Vector weight_of(Vector x, Vector top, Vector scale) {
  return exp_of(kFloats, hn::Div(hn::Sub(x, top), scale));
}

/// Probabilities, and the ids of those that are not 0 after min-p.
HWY_INLINE void fill(const float *x, std::size_t n, Vector top, Vector scale, float sum,
                     double min_p, SampleWork &work) {
  const Vector each = hn::Set(kFloats, 1 / sum);
  const Vector floor = hn::Set(kFloats, min_p > 0 ? static_cast<float>(min_p) * (1 / sum) : 0);
  for_vectors(n, [&](std::size_t i, auto lanes) CALM_SIMD {
    const Vector p = hn::Mul(weight_of(lanes.load(x + i), top, scale), each);
    lanes.store(hn::IfThenElseZero(hn::Ge(p, floor), p), work.p + i);
  });
  work.left = 0;
  for (std::size_t i = 0; i < n; ++i) {
    work.ids[work.left] = static_cast<std::uint32_t>(i);
    work.left += work.p[i] > 0 ? 1 : 0;
  }
}

}  // namespace

void sample(const Call &call) {
  const std::size_t n = call.node->extent(CALM_SAMPLE_LOGITS, 1);
  const SampleRule rule(call);
  reference::Scratch scratch(call.scratch);
  SampleWork work(n, scratch);
  const Operand ids = output(call, CALM_SAMPLE_IDS);
  const Operand log_probs = output(call, CALM_SAMPLE_LOG_PROB);
  const float scale = rule.cold() ? 1 : static_cast<float>(rule.temperature);
  const Vector scales = hn::Set(kFloats, scale);
  for (std::size_t row = call.begin; n > 0 && row < call.end; ++row) {
    const float *const x = call.ins[CALM_SAMPLE_LOGITS].at<const float>(row);
    const Vector top = max_of(x, n);
    // Dividing by 1 takes longer than all the rest.
    const auto sum_over = [&](auto weight) CALM_SIMD {
      return sum_of(n, [&](std::size_t i, auto lanes)
                           CALM_SIMD { return lanes.or_zero(weight(lanes.load(x + i))); });
    };
    const float sum =
        rule.cold() ? sum_over([&](Vector v) CALM_SIMD { return exp_of(kFloats, hn::Sub(v, top)); })
                    : sum_over([&](Vector v) CALM_SIMD { return weight_of(v, top, scales); });
    // The greedy choice, and the way out when nothing is left or a logit is not finite.
    std::size_t id = find_first(x, n, top);
    if (!rule.cold() && rule.filters() && std::isfinite(sum)) {
      fill(x, n, top, scales, sum, rule.min_p, work);
      if (rule.top_k > 0) {
        keep_top_k(work, static_cast<std::size_t>(rule.top_k));
      }
      if (rule.top_p > 0) {
        keep_top_p(work, rule.top_p);
      }
      id = walk(work, sample_draw(call, row), id);
    }
    if (ids) {
      *ids.at<std::int32_t>(row) = static_cast<std::int32_t>(id);
    }
    if (log_probs) {
      const double score = static_cast<double>((x[id] - hn::GetLane(top)) / scale);
      *log_probs.at(row) = static_cast<float>(score - std::log(static_cast<double>(sum)));
    }
  }
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {

constexpr Variants kSampleRun = CALM_VARIANTS(sample);

}  // namespace

// The node's rows are its sequences.
extern const Kernel kSample;
const Kernel kSample{.op = "sample",
                     .signature = "r[T,V] r[] i[] r[] r[] l[] i[] r[T]? -> i[T] r[T]",
                     .run = kSampleRun,
                     .scratch = SampleWork::bytes};

}  // namespace calm::onednn
#endif
