#include <calm/ops/activation.h>
#include <calm/ops/elementwise.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

// f(x) elementwise; its gradient is one fused operator of (x, grad).
struct Activation {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 1, kMaxIn = 1, kMaxOut = 1;

  static std::vector<calm_type> infer(const Call &call) {
    return {real_any(call, CALM_ACTIVATION_X, "x")};
  }
  static calm_cost cost(const Call &call) {
    return {2 * kTranscendental * count(call.out(0)), traffic(call)};
  }

 protected:
  static std::vector<Value> emit_gradient(const Builder &builder, const char *op, const Call &call,
                                          Value grad) {
    if (!grad) {
      return {};
    }
    return {builder.op(op, {call.arg(CALM_ACTIVATION_X), grad})};
  }
};

struct ActivationGrad {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 2, kMaxIn = 2, kMaxOut = 1;

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &x = real_any(call, CALM_ACTIVATION_X, "x");
    expect_type(call, CALM_ACTIVATION_GRAD, "grad", x);
    return {x};
  }
  static calm_cost cost(const Call &call) {
    return {3 * kTranscendental * count(call.out(0)), traffic(call)};
  }
};

struct Gelu : Activation {
  static constexpr const char *kDoc = "0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))";
  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    return emit_gradient(builder, CALM_OP_GELU_GRAD, call, grad_outs[0]);
  }
};

struct Silu : Activation {
  static constexpr const char *kDoc = "x sigmoid(x)";
  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    return emit_gradient(builder, CALM_OP_SILU_GRAD, call, grad_outs[0]);
  }
  static std::vector<Value> lower(const Builder &builder, const Call &call) {
    const Value x = call.arg(CALM_ACTIVATION_X);
    return {builder.op(CALM_OP_MUL, {x, builder.op(CALM_OP_SIGMOID, {x})})};
  }
};

struct Softplus : Activation {
  static constexpr const char *kDoc = "log(1 + exp(x)), and x itself above 20";
  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    return emit_gradient(builder, CALM_OP_SOFTPLUS_GRAD, call, grad_outs[0]);
  }
};

struct GeluGrad : ActivationGrad {
  static constexpr const char *kDoc = "grad times the derivative of gelu at x";
};
struct SiluGrad : ActivationGrad {
  static constexpr const char *kDoc = "grad times the derivative of silu at x";
};
struct SoftplusGrad : ActivationGrad {
  static constexpr const char *kDoc = "grad times the derivative of softplus at x";
};

}  // namespace

calm_operator define_gelu() { return make_operator<Gelu>(); }
calm_operator define_gelu_grad() { return make_operator<GeluGrad>(); }
calm_operator define_silu() { return make_operator<Silu>(); }
calm_operator define_silu_grad() { return make_operator<SiluGrad>(); }
calm_operator define_softplus() { return make_operator<Softplus>(); }
calm_operator define_softplus_grad() { return make_operator<SoftplusGrad>(); }

}  // namespace calm::ops
