#include <calm/ops/pool.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

constexpr calm_value_spec kMode = spec_i64("mode", CALM_POOL_MEAN, 0, 1, "0 mean, 1 last row");

struct Pool {
  static constexpr std::uint32_t kTraits = CALM_OP_SEQUENCEWISE | CALM_OP_PURE | CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 2, kMaxIn = 2, kMaxOut = 1;
  static constexpr const char *kDoc = "one row a sequence: the mean of its rows or its last row";
  static constexpr calm_value_spec kAttrs[] = {kMode};

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &x = real_ranked(call, CALM_POOL_X, "x", 2);
    const std::int64_t sequences = expect_offsets(call, CALM_POOL_OFFSETS);
    return {type_of(x.dtype, {sequences, x.shape[1]}, CALM_AXIS_SEQUENCES)};
  }

  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    if (!grad_outs[0]) {
      return {};
    }
    return {builder.op(CALM_OP_POOL_GRAD,
                       {call.arg(CALM_POOL_X), call.arg(CALM_POOL_OFFSETS), grad_outs[0]},
                       {value("mode", call.i64(CALM_POOL_MODE))})};
  }

  static calm_cost cost(const Call &call) { return {count(call.in(CALM_POOL_X)), traffic(call)}; }
};

struct PoolGrad {
  static constexpr std::uint32_t kTraits = CALM_OP_SEQUENCEWISE | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 3, kMaxIn = 3, kMaxOut = 1;
  static constexpr const char *kDoc = "gradient of pool's x";
  static constexpr calm_value_spec kAttrs[] = {kMode};

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &x = real_ranked(call, CALM_POOL_X, "x", 2);
    const std::int64_t sequences = expect_offsets(call, CALM_POOL_OFFSETS);
    expect_type(call, CALM_POOL_GRAD_GRAD, "grad", type_of(x.dtype, {sequences, x.shape[1]}));
    return {x};
  }

  static calm_cost cost(const Call &call) {
    return {count(call.out(0)),
            static_cast<double>(bytes_of(call.in(CALM_POOL_GRAD_GRAD)) + bytes_of(call.out(0)))};
  }
};

}  // namespace

calm_operator define_pool() { return make_operator<Pool>(); }
calm_operator define_pool_grad() { return make_operator<PoolGrad>(); }

}  // namespace calm::ops
