#include <calm/ops/cross_entropy.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

struct CrossEntropy {
  static constexpr std::uint32_t kTraits = CALM_OP_REDUCES_ROWS | CALM_OP_PURE | CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 2, kMaxIn = 2, kMaxOut = 2;
  static constexpr const char *kDoc = "sum of -log softmax(logits)[target] over rows with a target";

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &logits = real_ranked(call, CALM_CROSS_ENTROPY_LOGITS, "logits", 2);
    expect_type(call, CALM_CROSS_ENTROPY_TARGETS, "targets", per_row(CALM_I32, logits));
    return {scalar(logits.dtype), per_row(logits.dtype, logits)};
  }

  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    refuse_grad(grad_outs, CALM_CROSS_ENTROPY_LSE, "lse");
    const Value grad = grad_outs[CALM_CROSS_ENTROPY_LOSS];
    if (!grad) {
      return {};
    }
    return {builder.op(CALM_OP_CROSS_ENTROPY_GRAD,
                       {call.arg(CALM_CROSS_ENTROPY_LOGITS), call.arg(CALM_CROSS_ENTROPY_TARGETS),
                        call.result(CALM_CROSS_ENTROPY_LSE), grad})};
  }

  static calm_cost cost(const Call &call) {
    return {(2 + kTranscendental) * count(call.in(CALM_CROSS_ENTROPY_LOGITS)), traffic(call, 2)};
  }
};

struct CrossEntropyGrad {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE | CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 4, kMaxIn = 4, kMaxOut = 1;
  static constexpr const char *kDoc = "(softmax(logits) - onehot(target)) grad, 0 without a target";

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &logits = real_ranked(call, CALM_CROSS_ENTROPY_LOGITS, "logits", 2);
    expect_type(call, CALM_CROSS_ENTROPY_TARGETS, "targets", per_row(CALM_I32, logits));
    expect_type(call, CALM_CROSS_ENTROPY_GRAD_LSE, "lse", per_row(logits.dtype, logits));
    expect_type(call, CALM_CROSS_ENTROPY_GRAD_GRAD, "grad", scalar(logits.dtype));
    return {logits};
  }

  static calm_cost cost(const Call &call) {
    return {(2 + kTranscendental) * count(call.out(0)), traffic(call)};
  }
};

}  // namespace

calm_operator define_cross_entropy() { return make_operator<CrossEntropy>(); }
calm_operator define_cross_entropy_grad() { return make_operator<CrossEntropyGrad>(); }

}  // namespace calm::ops
