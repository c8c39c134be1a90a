#pragma once

#include <calm/operator.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <calm/cpp/builder.hpp>

namespace calm {

/// calm_call with checks. Messages are prefixed with the operator by the core.
class Call {
 public:
  explicit Call(const calm_call &call) : call_(&call) {}

  std::uint32_t n_in() const { return call_->n_in; }
  bool has(std::uint32_t i) const { return i < call_->n_in && call_->present[i] != 0; }
  const calm_type &in(std::uint32_t i) const { return call_->in_types[i]; }
  const calm_type &out(std::uint32_t i) const { return call_->out_types[i]; }
  /// Operands and outputs as values: in gradient and lower only.
  Value arg(std::uint32_t i) const { return has(i) ? Value{call_->ins[i]} : Value{}; }
  Value result(std::uint32_t i) const { return Value{call_->outs[i]}; }
  const calm_value &attr(std::uint32_t i) const { return call_->attrs[i]; }
  std::int64_t i64(std::uint32_t i) const { return call_->attrs[i].i64; }
  double f64(std::uint32_t i) const { return call_->attrs[i].f64; }
  bool flag(std::uint32_t i) const { return call_->attrs[i].i64 != 0; }
  std::int64_t tokens() const { return call_->tokens; }
  std::int64_t sequences() const { return call_->sequences; }

  /// Throws INVALID_ARGUMENT "expected X, found Y".
  static void expect(bool holds, const std::string &what) {
    if (!holds) {
      throw Error(CALM_INVALID_ARGUMENT, what);
    }
  }
  void expect_in(std::uint32_t i, const char *name, bool holds, const char *expected) const {
    if (!holds) {
      throw Error(CALM_INVALID_ARGUMENT, std::string(name) + ": expected " + expected + ", found " +
                                             (has(i) ? describe(in(i)) : std::string("nothing")));
    }
  }

 private:
  const calm_call *call_;
};

inline bool is_real(const calm_type &type) {
  return type.dtype == CALM_F32 || type.dtype == CALM_F64;
}
inline bool same_shape(const calm_type &a, const calm_type &b) {
  if (a.rank != b.rank) {
    return false;
  }
  for (std::uint32_t i = 0; i < a.rank; ++i) {
    if (a.shape[i] != b.shape[i]) {
      return false;
    }
  }
  return true;
}

/// Makes the C table of an operator from a type with static members:
///   kTraits, kMinIn, kMaxIn, kMaxOut, kDoc, kAttrs (an array of calm_value_spec; optional)
///   std::vector<calm_type> infer(const Call &)
///   std::vector<Value> gradient(const Builder &, const Call &, std::span<const Value> grad_outs,
///                               std::span<const std::uint8_t> wanted)       (optional)
///   std::vector<Value> lower(const Builder &, const Call &)                 (optional)
///   calm_cost cost(const Call &)
template <class Op>
calm_operator make_operator() {
  calm_operator op{};
  op.size = sizeof op;
  op.traits = Op::kTraits;
  op.min_in = Op::kMinIn;
  op.max_in = Op::kMaxIn;
  op.max_out = Op::kMaxOut;
  op.doc = literal(Op::kDoc);
  if constexpr (requires { Op::kAttrs; }) {
    op.attrs = table(Op::kAttrs);
  }
  op.infer = [](const calm_call *call, calm_type *outs, std::uint32_t *n_out, calm_error *error) {
    return guard(error, [&] {
      const std::vector<calm_type> types = Op::infer(Call(*call));
      std::copy(types.begin(), types.end(), outs);
      *n_out = static_cast<std::uint32_t>(types.size());
    });
  };
  if constexpr (requires { &Op::gradient; }) {
    op.gradient = [](const calm_builder *builder, const calm_call *call,
                     const calm_value_id *grad_outs, const std::uint8_t *wanted,
                     calm_value_id *grad_ins, calm_error *error) {
      return guard(error, [&] {
        std::vector<Value> grads;
        for (std::uint32_t i = 0; i < call->n_out; ++i) {
          grads.push_back(Value{grad_outs[i]});
        }
        const std::vector<Value> out =
            Op::gradient(Builder(*builder), Call(*call), grads, std::span(wanted, call->n_in));
        for (std::uint32_t i = 0; i < call->n_in; ++i) {
          grad_ins[i] = i < out.size() ? out[i].id : CALM_NONE;
        }
      });
    };
  }
  if constexpr (requires { &Op::lower; }) {
    op.lower = [](const calm_builder *builder, const calm_call *call, calm_value_id *outs,
                  calm_error *error) {
      return guard(error, [&] {
        const std::vector<Value> values = Op::lower(Builder(*builder), Call(*call));
        for (std::size_t i = 0; i < values.size(); ++i) {
          outs[i] = values[i].id;
        }
      });
    };
  }
  op.cost = [](const calm_call *call, calm_cost *out, calm_error *error) {
    return guard(error, [&] { *out = Op::cost(Call(*call)); });
  };
  return op;
}

}  // namespace calm
