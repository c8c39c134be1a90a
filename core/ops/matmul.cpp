#include <calm/ops/matmul.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

struct Matmul {
  // Rowwise, or a sum over rows with transpose_a: so neither is promised.
  static constexpr std::uint32_t kTraits = CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 2, kMaxIn = 2, kMaxOut = 1;
  static constexpr const char *kDoc = "matrix product op(a) op(b), op(x) = x or its transpose";
  static constexpr calm_value_spec kAttrs[] = {spec_bool("transpose_a", false, "a is [K, M]"),
                                               spec_bool("transpose_b", false, "b is [N, K]")};

  static std::int64_t inner(const Call &call) {
    return call.in(CALM_MATMUL_A).shape[call.flag(CALM_MATMUL_TRANSPOSE_A) ? 0 : 1];
  }

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &a = real_ranked(call, CALM_MATMUL_A, "a", 2);
    const calm_type &b = real_ranked(call, CALM_MATMUL_B, "b", 2);
    const bool ta = call.flag(CALM_MATMUL_TRANSPOSE_A);
    const bool tb = call.flag(CALM_MATMUL_TRANSPOSE_B);
    const std::int64_t k = inner(call);
    const std::int64_t n = b.shape[tb ? 0 : 1];
    expect_type(call, CALM_MATMUL_B, "b", tb ? type_of(a.dtype, {n, k}) : type_of(a.dtype, {k, n}));
    return {ta ? type_of(a.dtype, {a.shape[1], n}) : type_of(a.dtype, {a.shape[0], n}, a.axis0)};
  }

  static Value product(const Builder &builder, Value a, bool ta, Value b, bool tb) {
    return builder.op(CALM_OP_MATMUL, {a, b}, {value("transpose_a", ta), value("transpose_b", tb)});
  }

  // With C = op(a) op(b): d op(a) = dC op(b)^T, d op(b) = op(a)^T dC, transposed back where op
  // transposes.
  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t> wanted) {
    const Value grad = grad_outs[0];
    if (!grad) {
      return {};
    }
    const Value a = call.arg(CALM_MATMUL_A);
    const Value b = call.arg(CALM_MATMUL_B);
    const bool ta = call.flag(CALM_MATMUL_TRANSPOSE_A);
    const bool tb = call.flag(CALM_MATMUL_TRANSPOSE_B);
    std::vector<Value> out(2);
    if (wanted[CALM_MATMUL_A] != 0) {
      out[CALM_MATMUL_A] =
          ta ? product(builder, b, tb, grad, true) : product(builder, grad, false, b, !tb);
    }
    if (wanted[CALM_MATMUL_B] != 0) {
      out[CALM_MATMUL_B] =
          tb ? product(builder, grad, true, a, ta) : product(builder, a, !ta, grad, false);
    }
    return out;
  }

  static calm_cost cost(const Call &call) {
    return {2 * count(call.out(0)) * static_cast<double>(inner(call)), traffic(call)};
  }
};

}  // namespace

calm_operator define_matmul() { return make_operator<Matmul>(); }

}  // namespace calm::ops
