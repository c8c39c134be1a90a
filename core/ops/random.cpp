#include <calm/ops/random.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

struct Random {
  // Pure: the same counters draw the same numbers (program rule 11).
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE | CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 4, kMaxIn = 5, kMaxOut = 1;
  static constexpr calm_value_spec kAttrs[] = {
      spec_i64("stream", 0, 0, 4294967295.0, "0: derived from the node's origin")};

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &like = real_any(call, CALM_RANDOM_LIKE, "like");
    call.expect_in(CALM_RANDOM_LIKE, "like", like.rank >= 1, "a tensor with rows");
    expect_type(call, CALM_RANDOM_SEED, "seed", scalar(CALM_I64));
    expect_type(call, CALM_RANDOM_ROW_BASE, "row_base", scalar(CALM_I32));
    expect_type(call, CALM_RANDOM_MICRO_STEP, "micro_step", scalar(CALM_I32));
    if (call.has(CALM_RANDOM_DRAW)) {
      expect_type(call, CALM_RANDOM_DRAW, "draw", like);
    }
    return {like};
  }

  // `like` gives its type only; a replaced draw passes its gradient through.
  static std::vector<Value> gradient(const Builder &, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    std::vector<Value> out(call.n_in());
    if (call.has(CALM_RANDOM_DRAW)) {
      out[CALM_RANDOM_DRAW] = grad_outs[0];
    }
    return out;
  }
};

struct RandomUniform : Random {
  static constexpr const char *kDoc = "uniform draws in [0, 1)";
  static calm_cost cost(const Call &call) {
    return {20 * count(call.out(0)), static_cast<double>(bytes_of(call.out(0)))};
  }
};

struct RandomNormal : Random {
  static constexpr const char *kDoc = "standard normal draws";
  static calm_cost cost(const Call &call) {
    return {(20 + 2 * kTranscendental) * count(call.out(0)),
            static_cast<double>(bytes_of(call.out(0)))};
  }
};

}  // namespace

calm_operator define_random_uniform() { return make_operator<RandomUniform>(); }
calm_operator define_random_normal() { return make_operator<RandomNormal>(); }

}  // namespace calm::ops
