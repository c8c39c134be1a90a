#include <calm/ops/activation.h>
#include <calm/ops/elementwise.h>
#include <calm/ops/gated_silu.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

struct GatedSilu {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 2, kMaxIn = 2, kMaxOut = 1;
  static constexpr const char *kDoc = "y silu(z)";

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &y = real_any(call, CALM_GATED_SILU_Y, "y");
    expect_type(call, CALM_GATED_SILU_Z, "z", y);
    return {y};
  }

  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    if (!grad_outs[0]) {
      return {};
    }
    return builder.emit(CALM_OP_GATED_SILU_GRAD,
                        {call.arg(CALM_GATED_SILU_Y), call.arg(CALM_GATED_SILU_Z), grad_outs[0]});
  }

  static std::vector<Value> lower(const Builder &builder, const Call &call) {
    const Value gate = builder.op(CALM_OP_SILU, {call.arg(CALM_GATED_SILU_Z)});
    return {builder.op(CALM_OP_MUL, {call.arg(CALM_GATED_SILU_Y), gate})};
  }

  static calm_cost cost(const Call &call) {
    return {(2 + 2 * kTranscendental) * count(call.out(0)), traffic(call)};
  }
};

struct GatedSiluGrad {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 3, kMaxIn = 3, kMaxOut = 2;
  static constexpr const char *kDoc = "gradients of gated_silu's y and z";

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &y = real_any(call, CALM_GATED_SILU_Y, "y");
    expect_type(call, CALM_GATED_SILU_Z, "z", y);
    expect_type(call, CALM_GATED_SILU_GRAD_GRAD, "grad", y);
    return {y, y};
  }

  static std::vector<Value> lower(const Builder &builder, const Call &call) {
    const Value y = call.arg(CALM_GATED_SILU_Y);
    const Value z = call.arg(CALM_GATED_SILU_Z);
    const Value grad = call.arg(CALM_GATED_SILU_GRAD_GRAD);
    const Value grad_y = builder.op(CALM_OP_MUL, {grad, builder.op(CALM_OP_SILU, {z})});
    const Value grad_gate = builder.op(CALM_OP_MUL, {grad, y});
    return {grad_y, builder.op(CALM_OP_SILU_GRAD, {z, grad_gate})};
  }

  static calm_cost cost(const Call &call) {
    return {(8 + 2 * kTranscendental) * count(call.out(0)), traffic(call, 2)};
  }
};

}  // namespace

calm_operator define_gated_silu() { return make_operator<GatedSilu>(); }
calm_operator define_gated_silu_grad() { return make_operator<GatedSiluGrad>(); }

}  // namespace calm::ops
