#include <calm/ops/elementwise.h>
#include <calm/ops/reduce.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

// Sums the gradient of a broadcast second operand back to its shape.
Value reduce_to(const Builder &builder, Value grad, const calm_type &type) {
  const calm_type from = builder.type(grad);
  if (same_shape(from, type)) {
    return grad;
  }
  if (type.rank == 0) {
    return builder.op(CALM_OP_SUM, {grad}, {value("axis", -1)});
  }
  if (from.rank != 2) {
    throw Error(CALM_UNSUPPORTED, "b: expected a broadcast over one axis for a gradient, found " +
                                      describe(type) + " over " + describe(from));
  }
  return builder.op(CALM_OP_SUM, {grad}, {value("axis", 0)});
}

struct Binary {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 2, kMaxIn = 2, kMaxOut = 1;

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &a = real_any(call, 0, "a");
    const bool row = call.has(1) && a.rank > 0 && call.in(1).rank == 1 &&
                     call.in(1).shape[0] == a.shape[a.rank - 1];
    if (!(call.has(1) && call.in(1).dtype == a.dtype &&
          (row || call.in(1).rank == 0 || same_shape(a, call.in(1))))) {
      const std::string expected =
          describe(a) + (a.rank > 1 ? ", its last axis" : "") + (a.rank > 0 ? " or a scalar" : "");
      call.expect_in(1, "b", false, expected.c_str());
    }
    return {a};
  }

  static calm_cost cost(const Call &call) { return {count(call.out(0)), traffic(call)}; }
};

struct Add : Binary {
  static constexpr const char *kDoc = "a + b";
  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t> wanted) {
    const Value grad = grad_outs[0];
    if (!grad) {
      return {};
    }
    return {grad, wanted[1] != 0 ? reduce_to(builder, grad, call.in(1)) : Value{}};
  }
};

struct Sub : Binary {
  static constexpr const char *kDoc = "a - b";
  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t> wanted) {
    const Value grad = grad_outs[0];
    if (!grad) {
      return {};
    }
    return {grad, wanted[1] != 0 ? builder.op(CALM_OP_NEG, {reduce_to(builder, grad, call.in(1))})
                                 : Value{}};
  }
  static std::vector<Value> lower(const Builder &builder, const Call &call) {
    return {builder.op(CALM_OP_ADD, {call.arg(0), builder.op(CALM_OP_NEG, {call.arg(1)})})};
  }
};

struct Mul : Binary {
  static constexpr const char *kDoc = "a b";
  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t> wanted) {
    const Value grad = grad_outs[0];
    if (!grad) {
      return {};
    }
    std::vector<Value> out(2);
    if (wanted[0] != 0) {
      out[0] = builder.op(CALM_OP_MUL, {grad, call.arg(1)});
    }
    if (wanted[1] != 0) {
      out[1] = reduce_to(builder, builder.op(CALM_OP_MUL, {grad, call.arg(0)}), call.in(1));
    }
    return out;
  }
};

struct Div : Binary {
  static constexpr const char *kDoc = "a / b";
  // d(a/b) = da / b - db (a/b) / b
  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t> wanted) {
    if (!grad_outs[0]) {
      return {};
    }
    std::vector<Value> out(2);
    const Value grad = builder.op(CALM_OP_DIV, {grad_outs[0], call.arg(1)});
    out[0] = grad;
    if (wanted[1] != 0) {
      const Value product = builder.op(CALM_OP_MUL, {grad, call.result(0)});
      out[1] = builder.op(CALM_OP_NEG, {reduce_to(builder, product, call.in(1))});
    }
    return out;
  }
  static calm_cost cost(const Call &call) {
    return {kTranscendental * count(call.out(0)), traffic(call)};
  }
};

}  // namespace

calm_operator define_add() { return make_operator<Add>(); }
calm_operator define_sub() { return make_operator<Sub>(); }
calm_operator define_mul() { return make_operator<Mul>(); }
calm_operator define_div() { return make_operator<Div>(); }

}  // namespace calm::ops
