#include <calm/ops/ewc.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

// Not differentiable, like everything that stands behind the gradients.

struct EwcPenalty {
  static constexpr std::uint32_t kTraits = CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 5, kMaxIn = 5, kMaxOut = 2;
  static constexpr const char *kDoc = "gradient of the EWC penalty added to a flat group's";

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &grad = real_ranked(call, CALM_EWC_PENALTY_GRAD, "grad", 1);
    expect_type(call, CALM_EWC_PENALTY_PARAM, "param", grad);
    expect_type(call, CALM_EWC_PENALTY_FISHER, "fisher", grad);
    expect_type(call, CALM_EWC_PENALTY_ANCHOR, "anchor", grad);
    expect_type(call, CALM_EWC_PENALTY_SCALE, "scale", scalar(grad.dtype));
    return {grad, scalar(grad.dtype)};
  }

  static calm_cost cost(const Call &call) { return {6 * count(call.out(0)), traffic(call, 2)}; }
};

struct Fisher {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 4, kMaxIn = 4, kMaxOut = 1;
  static constexpr const char *kDoc = "running mean of squared gradients: diagonal Fisher";

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &fisher = real_ranked(call, CALM_FISHER_FISHER, "fisher", 1);
    expect_type(call, CALM_FISHER_GRAD, "grad", fisher);
    expect_type(call, CALM_FISHER_KEEP, "keep", scalar(fisher.dtype));
    expect_type(call, CALM_FISHER_TAKE, "take", scalar(fisher.dtype));
    return {fisher};
  }

  static calm_cost cost(const Call &call) { return {4 * count(call.out(0)), traffic(call)}; }
};

}  // namespace

calm_operator define_ewc_penalty() { return make_operator<EwcPenalty>(); }
calm_operator define_fisher() { return make_operator<Fisher>(); }

}  // namespace calm::ops
