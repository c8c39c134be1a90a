#include <calm/ops/sample.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

struct Sample {
  // Pure: the draw comes from counters (program rule 11).
  static constexpr std::uint32_t kTraits = CALM_OP_ROWWISE | CALM_OP_PURE | CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 7, kMaxIn = 8, kMaxOut = 2;
  static constexpr const char *kDoc = "one token a row: min-p, top-k, top-p, then a draw or argmax";

  static std::vector<calm_type> infer(const Call &call) {
    const calm_type &logits = real_ranked(call, CALM_SAMPLE_LOGITS, "logits", 2);
    const calm_type number = scalar(logits.dtype);
    expect_type(call, CALM_SAMPLE_TEMPERATURE, "temperature", number);
    expect_type(call, CALM_SAMPLE_TOP_K, "top_k", scalar(CALM_I32));
    expect_type(call, CALM_SAMPLE_TOP_P, "top_p", number);
    expect_type(call, CALM_SAMPLE_MIN_P, "min_p", number);
    expect_type(call, CALM_SAMPLE_SEED, "seed", scalar(CALM_I64));
    expect_type(call, CALM_SAMPLE_MICRO_STEP, "micro_step", scalar(CALM_I32));
    if (call.has(CALM_SAMPLE_DRAW)) {
      expect_type(call, CALM_SAMPLE_DRAW, "draw", per_row(logits.dtype, logits));
    }
    return {per_row(CALM_I32, logits), per_row(logits.dtype, logits)};
  }

  // A softmax and a sort of each row.
  static calm_cost cost(const Call &call) {
    return {(kTranscendental + 20) * count(call.in(CALM_SAMPLE_LOGITS)), traffic(call, 2)};
  }
};

}  // namespace

calm_operator define_sample() { return make_operator<Sample>(); }

}  // namespace calm::ops
