#include <calm/ops/layer_norm.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

struct LayerNorm {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE | CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 3, kMaxIn = 3, kMaxOut = 3;
  static constexpr const char *kDoc = "(x - mean) / sqrt(var + eps) * weight + bias of each row";
  static constexpr calm_value_spec kAttrs[] = {
      spec_f64("eps", 1e-5, 0, 1, "added to the variance")};

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &x = real_ranked(call, CALM_LAYER_NORM_X, "x", 2);
    expect_type(call, CALM_LAYER_NORM_WEIGHT, "weight", type_of(x.dtype, {x.shape[1]}));
    expect_type(call, CALM_LAYER_NORM_BIAS, "bias", type_of(x.dtype, {x.shape[1]}));
    return {x, per_row(x.dtype, x), per_row(x.dtype, x)};
  }

  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    refuse_grad(grad_outs, CALM_LAYER_NORM_MEAN, "mean");
    refuse_grad(grad_outs, CALM_LAYER_NORM_RSTD, "rstd");
    if (!grad_outs[CALM_LAYER_NORM_Y]) {
      return {};
    }
    return builder.emit(CALM_OP_LAYER_NORM_GRAD,
                        {call.arg(CALM_LAYER_NORM_X), call.arg(CALM_LAYER_NORM_WEIGHT),
                         call.result(CALM_LAYER_NORM_MEAN), call.result(CALM_LAYER_NORM_RSTD),
                         grad_outs[CALM_LAYER_NORM_Y]});
  }

  static calm_cost cost(const Call &call) {
    return {8 * count(call.in(CALM_LAYER_NORM_X)), traffic(call, 3)};
  }
};

struct LayerNormGrad {
  static constexpr std::uint32_t kTraits = CALM_OP_REDUCES_ROWS | CALM_OP_PURE | CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 5, kMaxIn = 5, kMaxOut = 3;
  static constexpr const char *kDoc = "gradients of layer_norm's x, weight and bias";

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &x = real_ranked(call, CALM_LAYER_NORM_GRAD_X, "x", 2);
    const calm_type column = type_of(x.dtype, {x.shape[1]});
    expect_type(call, CALM_LAYER_NORM_GRAD_WEIGHT, "weight", column);
    expect_type(call, CALM_LAYER_NORM_GRAD_MEAN, "mean", per_row(x.dtype, x));
    expect_type(call, CALM_LAYER_NORM_GRAD_RSTD, "rstd", per_row(x.dtype, x));
    expect_type(call, CALM_LAYER_NORM_GRAD_GRAD, "grad", x);
    return {x, column, column};
  }

  static calm_cost cost(const Call &call) {
    return {14 * count(call.in(CALM_LAYER_NORM_GRAD_X)), traffic(call, 3)};
  }
};

}  // namespace

calm_operator define_layer_norm() { return make_operator<LayerNorm>(); }
calm_operator define_layer_norm_grad() { return make_operator<LayerNormGrad>(); }

}  // namespace calm::ops
