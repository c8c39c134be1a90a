#include <calm/ops/optimizer.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

// None of these is differentiable, and those that update a buffer are not pure.

struct Accumulate {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE;
  static constexpr std::uint32_t kMinIn = 3, kMaxIn = 3, kMaxOut = 1;
  static constexpr const char *kDoc = "sum of gradients over micro-batches; the first replaces it";

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &sum = real_any(call, CALM_ACCUMULATE_SUM, "sum");
    expect_type(call, CALM_ACCUMULATE_VALUE, "value", sum);
    expect_type(call, CALM_ACCUMULATE_FIRST, "first", scalar(CALM_I32));
    return {sum};
  }

  static calm_cost cost(const Call &call) { return {count(call.out(0)), traffic(call)}; }
};

struct GlobalNorm {
  static constexpr std::uint32_t kTraits = CALM_OP_REDUCES_ROWS | CALM_OP_PURE | CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 1, kMaxIn = 8, kMaxOut = 3;
  static constexpr const char *kDoc = "norm of all gradients, clip coefficient, whether finite";
  static constexpr calm_value_spec kAttrs[] = {
      required(spec_f64("max_norm", 0, 0, kInfinity, "gradients are scaled down to this norm"))};

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &first = real_any(call, 0, "x0");
    for (std::uint32_t i = 1; i < call.n_in(); ++i) {
      const std::string name = "x" + std::to_string(i);
      const calm_type &x = real_any(call, i, name.c_str());
      calm_type expected = x;
      expected.dtype = first.dtype;
      expect_type(call, i, name.c_str(), expected);
    }
    return {scalar(first.dtype), scalar(first.dtype), scalar(CALM_I32)};
  }

  static calm_cost cost(const Call &call) {
    double n = 0;
    for (std::uint32_t i = 0; i < call.n_in(); ++i) {
      n += count(call.in(i));
    }
    return {2 * n, traffic(call, 3)};
  }
};

struct Guard {
  static constexpr std::uint32_t kTraits = 0;
  static constexpr std::uint32_t kMinIn = 2, kMaxIn = 2, kMaxOut = 2;
  static constexpr const char *kDoc = "whether to update; sticky after three refusals in a row";

  static std::vector<calm_type> infer(const Call &call) {
    expect_type(call, CALM_GUARD_OK, "ok", scalar(CALM_I32));
    expect_type(call, CALM_GUARD_BAD, "bad", scalar(CALM_I32));
    return {scalar(CALM_I32), scalar(CALM_I32)};
  }

  static calm_cost cost(const Call &call) { return {0, traffic(call, 2)}; }
};

struct Adamw {
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 9, kMaxIn = 9, kMaxOut = 3;
  static constexpr const char *kDoc = "one AdamW update of a flat group (decoupled weight decay)";
  static constexpr calm_value_spec kAttrs[] = {
      spec_f64("beta1", 0.9, 0, 1, "decay of the first moment"),
      spec_f64("beta2", 0.999, 0, 1, "decay of the second moment"),
      spec_f64("eps", 1e-8, 0, 1, "added to the root of the second moment"),
      spec_f64("weight_decay", 0, 0, kInfinity, "0: none")};

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &param = real_ranked(call, CALM_ADAMW_PARAM, "param", 1);
    const calm_type number = scalar(param.dtype);
    expect_type(call, CALM_ADAMW_GRAD, "grad", param);
    expect_type(call, CALM_ADAMW_M, "m", param);
    expect_type(call, CALM_ADAMW_V, "v", param);
    expect_type(call, CALM_ADAMW_LR, "lr", number);
    expect_type(call, CALM_ADAMW_BIAS1, "bias1", number);
    expect_type(call, CALM_ADAMW_BIAS2, "bias2", number);
    expect_type(call, CALM_ADAMW_COEFFICIENT, "coefficient", number);
    expect_type(call, CALM_ADAMW_GO, "go", scalar(CALM_I32));
    return {param, param, param};
  }

  static calm_cost cost(const Call &call) {
    return {(12 + 2 * kTranscendental) * count(call.out(0)), traffic(call, 3)};
  }
};

struct Record {
  static constexpr std::uint32_t kTraits = 0;
  static constexpr std::uint32_t kMinIn = 3, kMaxIn = 8, kMaxOut = 1;
  static constexpr const char *kDoc = "writes scalars into one row of a ring";

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &ring = real_ranked(call, CALM_RECORD_RING, "ring", 2);
    expect_type(call, CALM_RECORD_ROW, "row", scalar(CALM_I32));
    const std::int64_t values = std::int64_t{call.n_in()} - CALM_RECORD_VALUES;
    call.expect_in(CALM_RECORD_RING, "ring", ring.shape[1] == values,
                   describe(type_of(ring.dtype, {ring.shape[0], values})).c_str());
    for (std::uint32_t i = CALM_RECORD_VALUES; i < call.n_in(); ++i) {
      const std::string name = "value" + std::to_string(i - CALM_RECORD_VALUES);
      call.expect_in(i, name.c_str(),
                     call.has(i) && call.in(i).rank == 0 &&
                         (call.in(i).dtype == ring.dtype || call.in(i).dtype == CALM_I32),
                     ring.dtype == CALM_F32 ? "f32[] or i32[]" : "f64[] or i32[]");
    }
    return {ring};
  }

  static calm_cost cost(const Call &call) {
    return {0, 2 * static_cast<double>(call.n_in()) *
                   static_cast<double>(dtype_bytes(call.out(0).dtype))};
  }
};

}  // namespace

calm_operator define_accumulate() { return make_operator<Accumulate>(); }
calm_operator define_global_norm() { return make_operator<GlobalNorm>(); }
calm_operator define_guard() { return make_operator<Guard>(); }
calm_operator define_adamw() { return make_operator<Adamw>(); }
calm_operator define_record() { return make_operator<Record>(); }

}  // namespace calm::ops
