#include <calm/ops/l2_normalize.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

// Not 0: a row of zeros would become NaN.
constexpr calm_value_spec kEps =
    spec_f64("eps", 1e-12, std::numeric_limits<float>::min(), 1, "smallest norm divided by");

struct L2Normalize {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE | CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 1, kMaxIn = 1, kMaxOut = 2;
  static constexpr const char *kDoc = "each row divided by its Euclidean norm, or by eps";
  static constexpr calm_value_spec kAttrs[] = {kEps};

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &x = real_ranked(call, CALM_L2_NORMALIZE_X, "x", 2);
    return {x, per_row(x.dtype, x)};
  }

  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    refuse_grad(grad_outs, CALM_L2_NORMALIZE_NORM, "norm");
    if (!grad_outs[CALM_L2_NORMALIZE_Y]) {
      return {};
    }
    return {builder.op(CALM_OP_L2_NORMALIZE_GRAD,
                       {call.result(CALM_L2_NORMALIZE_Y), call.result(CALM_L2_NORMALIZE_NORM),
                        grad_outs[CALM_L2_NORMALIZE_Y]},
                       {value("eps", call.f64(CALM_L2_NORMALIZE_EPS))})};
  }

  static calm_cost cost(const Call &call) {
    return {3 * count(call.in(CALM_L2_NORMALIZE_X)), traffic(call, 2)};
  }
};

struct L2NormalizeGrad {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE | CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 3, kMaxIn = 3, kMaxOut = 1;
  static constexpr const char *kDoc = "gradient of l2_normalize's x";
  static constexpr calm_value_spec kAttrs[] = {kEps};

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &y = real_ranked(call, CALM_L2_NORMALIZE_GRAD_Y, "y", 2);
    expect_type(call, CALM_L2_NORMALIZE_GRAD_NORM, "norm", per_row(y.dtype, y));
    expect_type(call, CALM_L2_NORMALIZE_GRAD_GRAD, "grad", y);
    return {y};
  }

  static calm_cost cost(const Call &call) { return {5 * count(call.out(0)), traffic(call)}; }
};

}  // namespace

calm_operator define_l2_normalize() { return make_operator<L2Normalize>(); }
calm_operator define_l2_normalize_grad() { return make_operator<L2NormalizeGrad>(); }

}  // namespace calm::ops
