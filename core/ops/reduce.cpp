#include <calm/ops/reduce.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

constexpr calm_value_spec kAxis = spec_i64("axis", -1, -1, 1, "0 rows, 1 columns, -1 everything");

// What summing `full` over `axis` leaves.
calm_type reduced(const calm_type &full, std::int64_t axis) {
  switch (axis) {
    case 0:
      return type_of(full.dtype, {full.shape[1]});
    case 1:
      return per_row(full.dtype, full);
    default:
      return scalar(full.dtype);
  }
}

const calm_type &full_operand(const Call &call, std::uint32_t i, const char *name) {
  return call.i64(CALM_REDUCE_AXIS) == -1 ? real_any(call, i, name) : real_ranked(call, i, name, 2);
}

struct Sum {
  // Rowwise with axis 1, over rows otherwise: so only the latter, which forbids more, is said.
  static constexpr std::uint32_t kTraits = CALM_OP_REDUCES_ROWS | CALM_OP_PURE | CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 1, kMaxIn = 1, kMaxOut = 1;
  static constexpr const char *kDoc = "sum over rows, columns or everything";
  static constexpr calm_value_spec kAttrs[] = {kAxis};

  static std::vector<calm_type> infer(const Call &call) {
    return {reduced(full_operand(call, 0, "x"), call.i64(CALM_REDUCE_AXIS))};
  }

  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    if (!grad_outs[0]) {
      return {};
    }
    return {builder.op(CALM_OP_BROADCAST, {grad_outs[0], call.arg(0)},
                       {value("axis", call.i64(CALM_REDUCE_AXIS))})};
  }

  static calm_cost cost(const Call &call) { return {count(call.in(0)), traffic(call)}; }
};

struct Broadcast {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 2, kMaxIn = 2, kMaxOut = 1;
  static constexpr const char *kDoc = "the reverse of sum: repeats x to the shape of like";
  static constexpr calm_value_spec kAttrs[] = {kAxis};

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &like = full_operand(call, CALM_BROADCAST_LIKE, "like");
    expect_type(call, CALM_BROADCAST_X, "x", reduced(like, call.i64(CALM_REDUCE_AXIS)));
    return {like};
  }

  // `like` gives its shape only: its gradient is zero.
  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t> wanted) {
    if (!grad_outs[0] || wanted[CALM_BROADCAST_X] == 0) {
      return {};
    }
    return {builder.op(CALM_OP_SUM, {grad_outs[0]}, {value("axis", call.i64(CALM_REDUCE_AXIS))})};
  }

  static calm_cost cost(const Call &call) {
    return {0, static_cast<double>(bytes_of(call.in(CALM_BROADCAST_X)) + bytes_of(call.out(0)))};
  }
};

}  // namespace

calm_operator define_sum() { return make_operator<Sum>(); }
calm_operator define_broadcast() { return make_operator<Broadcast>(); }

}  // namespace calm::ops
