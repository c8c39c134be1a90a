#include <calm/ops/elementwise.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

// Self::derivative(builder, x, y, grad) gives grad f'(x) with y = f(x).
template <class Self>
struct Unary {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 1, kMaxIn = 1, kMaxOut = 1;

  static std::vector<calm_type> infer(const Call &call) { return {real_any(call, 0, "x")}; }

  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    if (!grad_outs[0]) {
      return {};
    }
    return {Self::derivative(builder, call.arg(0), call.result(0), grad_outs[0])};
  }

  static calm_cost cost(const Call &call) {
    return {Self::kFlops * count(call.out(0)), traffic(call)};
  }
};

struct Neg : Unary<Neg> {
  static constexpr const char *kDoc = "-x";
  static constexpr double kFlops = 1;
  static Value derivative(const Builder &builder, Value, Value, Value grad) {
    return builder.op(CALM_OP_NEG, {grad});
  }
};

struct Exp : Unary<Exp> {
  static constexpr const char *kDoc = "e to the x";
  static constexpr double kFlops = kTranscendental;
  static Value derivative(const Builder &builder, Value, Value y, Value grad) {
    return builder.op(CALM_OP_MUL, {grad, y});
  }
};

struct Log : Unary<Log> {
  static constexpr const char *kDoc = "natural logarithm";
  static constexpr double kFlops = kTranscendental;
  static Value derivative(const Builder &builder, Value x, Value, Value grad) {
    return builder.op(CALM_OP_DIV, {grad, x});
  }
};

struct Sqrt : Unary<Sqrt> {
  static constexpr const char *kDoc = "square root";
  static constexpr double kFlops = kTranscendental;
  static Value derivative(const Builder &builder, Value, Value y, Value grad) {
    return builder.op(CALM_OP_DIV, {grad, builder.op(CALM_OP_ADD, {y, y})});
  }
};

struct Square : Unary<Square> {
  static constexpr const char *kDoc = "x squared";
  static constexpr double kFlops = 1;
  static Value derivative(const Builder &builder, Value x, Value, Value grad) {
    return builder.op(CALM_OP_MUL, {grad, builder.op(CALM_OP_ADD, {x, x})});
  }
  static std::vector<Value> lower(const Builder &builder, const Call &call) {
    return {builder.op(CALM_OP_MUL, {call.arg(0), call.arg(0)})};
  }
};

struct Sigmoid : Unary<Sigmoid> {
  static constexpr const char *kDoc = "1 / (1 + exp(-x))";
  static constexpr double kFlops = 2 * kTranscendental;
  // sigmoid(-x) instead of 1 - y, which cancels for large x.
  static Value derivative(const Builder &builder, Value x, Value y, Value grad) {
    const Value rest = builder.op(CALM_OP_SIGMOID, {builder.op(CALM_OP_NEG, {x})});
    return builder.op(CALM_OP_MUL, {grad, builder.op(CALM_OP_MUL, {y, rest})});
  }
};

struct Tanh : Unary<Tanh> {
  static constexpr const char *kDoc = "hyperbolic tangent";
  static constexpr double kFlops = kTranscendental;
  static Value derivative(const Builder &builder, Value, Value y, Value grad) {
    const Value part = builder.op(CALM_OP_MUL, {grad, builder.op(CALM_OP_SQUARE, {y})});
    return builder.op(CALM_OP_SUB, {grad, part});
  }
};

}  // namespace

calm_operator define_neg() { return make_operator<Neg>(); }
calm_operator define_exp() { return make_operator<Exp>(); }
calm_operator define_log() { return make_operator<Log>(); }
calm_operator define_sqrt() { return make_operator<Sqrt>(); }
calm_operator define_square() { return make_operator<Square>(); }
calm_operator define_sigmoid() { return make_operator<Sigmoid>(); }
calm_operator define_tanh() { return make_operator<Tanh>(); }

}  // namespace calm::ops
