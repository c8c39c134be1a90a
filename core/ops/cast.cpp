#include <calm/ops/cast.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

bool is_float(std::int64_t dtype) {
  return dtype == CALM_F32 || dtype == CALM_F64 || dtype == CALM_BF16;
}

struct Cast {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 1, kMaxIn = 1, kMaxOut = 1;
  static constexpr const char *kDoc = "x with another dtype; bf16 rounds to nearest even";
  static constexpr calm_value_spec kAttrs[] = {
      required(spec_i64("dtype", 0, 1, 10, "a calm_dtype: f32, f64 or bf16"))};

  static std::vector<calm_type> infer(const Call &call) {
    call.expect_in(0, "x",
                   call.has(0) && (is_float(call.in(0).dtype) || call.in(0).dtype == CALM_I32) &&
                       has_extents(call.in(0)),
                   "an f32, f64, bf16 or i32 tensor");
    const std::int64_t dtype = call.i64(CALM_CAST_DTYPE);
    Call::expect(is_float(dtype), "dtype: expected f32, f64 or bf16, found " +
                                      std::string(dtype_name(static_cast<calm_dtype>(dtype))));
    calm_type out = call.in(0);
    out.dtype = static_cast<calm_dtype>(dtype);
    return {out};
  }

  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    if (!grad_outs[0] || !is_float(call.in(0).dtype)) {
      return {};
    }
    return {
        builder.op(CALM_OP_CAST, {grad_outs[0]}, {value("dtype", std::int64_t{call.in(0).dtype})})};
  }

  static calm_cost cost(const Call &call) { return {count(call.out(0)), traffic(call)}; }
};

}  // namespace

calm_operator define_cast() { return make_operator<Cast>(); }

}  // namespace calm::ops
