#include <calm/ops/causal_conv_silu.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

struct CausalConvSilu {
  static constexpr std::uint32_t kTraits = CALM_OP_SEQUENCEWISE | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 3, kMaxIn = 4, kMaxOut = 2;
  static constexpr const char *kDoc = "causal depthwise convolution of each sequence, then silu";

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &x = real_ranked(call, CALM_CAUSAL_CONV_SILU_X, "x", 2);
    const calm_type &weight = real_ranked(call, CALM_CAUSAL_CONV_SILU_WEIGHT, "weight", 2);
    const std::int64_t channels = x.shape[1];
    const std::int64_t taps = weight.shape[1];
    expect_type(call, CALM_CAUSAL_CONV_SILU_WEIGHT, "weight", type_of(x.dtype, {channels, taps}));
    const std::int64_t sequences = expect_offsets(call, CALM_CAUSAL_CONV_SILU_OFFSETS);
    const calm_type state = type_of(x.dtype, {sequences, channels, taps}, CALM_AXIS_SEQUENCES);
    if (call.has(CALM_CAUSAL_CONV_SILU_STATE_IN)) {
      expect_type(call, CALM_CAUSAL_CONV_SILU_STATE_IN, "state_in", state);
    }
    return {x, state};
  }

  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    refuse_grad(grad_outs, CALM_CAUSAL_CONV_SILU_STATE_OUT, "state_out");
    const Value grad = grad_outs[CALM_CAUSAL_CONV_SILU_Y];
    if (!grad) {
      return {};
    }
    if (call.has(CALM_CAUSAL_CONV_SILU_STATE_IN)) {
      throw Error(CALM_UNSUPPORTED, "state_in is not differentiable");
    }
    return builder.emit(CALM_OP_CAUSAL_CONV_SILU_GRAD,
                        {call.arg(CALM_CAUSAL_CONV_SILU_X), call.arg(CALM_CAUSAL_CONV_SILU_WEIGHT),
                         call.arg(CALM_CAUSAL_CONV_SILU_OFFSETS), grad});
  }

  static calm_cost cost(const Call &call) {
    const double taps = static_cast<double>(call.in(CALM_CAUSAL_CONV_SILU_WEIGHT).shape[1]);
    return {count(call.out(0)) * (2 * taps + 2 * kTranscendental), traffic(call, 2)};
  }
};

struct CausalConvSiluGrad {
  static constexpr std::uint32_t kTraits =
      CALM_OP_SEQUENCEWISE | CALM_OP_REDUCES_ROWS | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 4, kMaxIn = 4, kMaxOut = 2;
  static constexpr const char *kDoc = "gradients of causal_conv_silu's x and weight";

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &x = real_ranked(call, CALM_CAUSAL_CONV_SILU_GRAD_X, "x", 2);
    const calm_type &weight = real_ranked(call, CALM_CAUSAL_CONV_SILU_GRAD_WEIGHT, "weight", 2);
    const calm_type filter = type_of(x.dtype, {x.shape[1], weight.shape[1]});
    expect_type(call, CALM_CAUSAL_CONV_SILU_GRAD_WEIGHT, "weight", filter);
    expect_offsets(call, CALM_CAUSAL_CONV_SILU_GRAD_OFFSETS);
    expect_type(call, CALM_CAUSAL_CONV_SILU_GRAD_GRAD, "grad", x);
    return {x, filter};
  }

  static calm_cost cost(const Call &call) {
    const double taps = static_cast<double>(call.in(CALM_CAUSAL_CONV_SILU_GRAD_WEIGHT).shape[1]);
    return {count(call.out(0)) * (6 * taps + 3 * kTranscendental), traffic(call, 2)};
  }
};

}  // namespace

calm_operator define_causal_conv_silu() { return make_operator<CausalConvSilu>(); }
calm_operator define_causal_conv_silu_grad() { return make_operator<CausalConvSiluGrad>(); }

}  // namespace calm::ops
