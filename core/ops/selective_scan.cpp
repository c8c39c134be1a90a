#include <calm/ops/selective_scan.h>

#include "core/ops/common.hpp"

namespace calm::ops {
namespace {

constexpr std::uint32_t kTensors = 6;  // x, delta, a, b, c, d: the operands with a gradient

struct Sizes {
  calm_dtype dtype;
  std::int64_t rows, channels, states, sequences;
};

// Checks operands 0..6, which forward and backward share.
Sizes check_operands(const Call &call) {
  const calm_type &x = real_ranked(call, CALM_SELECTIVE_SCAN_X, "x", 2);
  const calm_type &a = real_ranked(call, CALM_SELECTIVE_SCAN_A, "a", 2);
  const Sizes s{x.dtype, x.shape[0], x.shape[1], a.shape[1],
                expect_offsets(call, CALM_SELECTIVE_SCAN_OFFSETS)};
  const calm_type rows_states = type_of(s.dtype, {s.rows, s.states});
  expect_type(call, CALM_SELECTIVE_SCAN_DELTA, "delta", x);
  expect_type(call, CALM_SELECTIVE_SCAN_A, "a", type_of(s.dtype, {s.channels, s.states}));
  expect_type(call, CALM_SELECTIVE_SCAN_B, "b", rows_states);
  expect_type(call, CALM_SELECTIVE_SCAN_C, "c", rows_states);
  expect_type(call, CALM_SELECTIVE_SCAN_D, "d", type_of(s.dtype, {s.channels}));
  return s;
}

calm_type bounds_type(const Sizes &s) {
  const std::int64_t chunks = (s.rows - 1) / CALM_SCAN_CHUNK + 1;
  return type_of(s.dtype, {chunks, s.channels, s.states}, CALM_AXIS_CHUNKS);
}

// rows x channels x states
double updates(const Call &call) {
  return count(call.in(CALM_SELECTIVE_SCAN_X)) *
         static_cast<double>(call.in(CALM_SELECTIVE_SCAN_A).shape[1]);
}

struct SelectiveScan {
  static constexpr std::uint32_t kTraits = CALM_OP_SEQUENCEWISE | CALM_OP_PURE | CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 7, kMaxIn = 8, kMaxOut = 3;
  static constexpr const char *kDoc = "selective state space scan of each sequence, with D-skip";

  static std::vector<calm_type> infer(const Call &call) {
    const Sizes s = check_operands(call);
    const calm_type state =
        type_of(s.dtype, {s.sequences, s.channels, s.states}, CALM_AXIS_SEQUENCES);
    if (call.has(CALM_SELECTIVE_SCAN_STATE_IN)) {
      expect_type(call, CALM_SELECTIVE_SCAN_STATE_IN, "state_in", state);
    }
    return {call.in(CALM_SELECTIVE_SCAN_X), bounds_type(s), state};
  }

  static std::vector<Value> gradient(const Builder &builder, const Call &call,
                                     std::span<const Value> grad_outs,
                                     std::span<const std::uint8_t>) {
    refuse_grad(grad_outs, CALM_SELECTIVE_SCAN_BOUNDS, "bounds");
    refuse_grad(grad_outs, CALM_SELECTIVE_SCAN_STATE_OUT, "state_out");
    if (!grad_outs[CALM_SELECTIVE_SCAN_Y]) {
      return {};
    }
    if (call.has(CALM_SELECTIVE_SCAN_STATE_IN)) {
      throw Error(CALM_UNSUPPORTED, "state_in is not differentiable");
    }
    std::vector<Value> ins;
    for (std::uint32_t i = 0; i <= CALM_SELECTIVE_SCAN_OFFSETS; ++i) {
      ins.push_back(call.arg(i));
    }
    ins.push_back(call.result(CALM_SELECTIVE_SCAN_BOUNDS));
    ins.push_back(grad_outs[CALM_SELECTIVE_SCAN_Y]);
    return builder.emit(CALM_OP_SELECTIVE_SCAN_GRAD, ins, {});
  }

  // exp(delta a), two products and two sums for h, one of each for y.
  static calm_cost cost(const Call &call) {
    return {updates(call) * (6 + kTranscendental), traffic(call, 3)};
  }
};

struct SelectiveScanGrad {
  static constexpr std::uint32_t kTraits =
      CALM_OP_SEQUENCEWISE | CALM_OP_REDUCES_ROWS | CALM_OP_PURE | CALM_OP_KEEP_FP32;
  static constexpr std::uint32_t kMinIn = 9, kMaxIn = 9, kMaxOut = kTensors;
  static constexpr const char *kDoc = "gradients of selective_scan's x, delta, a, b, c and d";

  static std::vector<calm_type> infer(const Call &call) {
    const Sizes s = check_operands(call);
    expect_type(call, CALM_SELECTIVE_SCAN_GRAD_BOUNDS, "bounds", bounds_type(s));
    expect_type(call, CALM_SELECTIVE_SCAN_GRAD_GRAD, "grad", call.in(CALM_SELECTIVE_SCAN_X));
    std::vector<calm_type> outs;
    for (std::uint32_t i = 0; i < kTensors; ++i) {
      outs.push_back(call.in(i));
    }
    return outs;
  }

  static calm_cost cost(const Call &call) {
    return {updates(call) * (20 + kTranscendental), traffic(call, kTensors)};
  }
};

}  // namespace

calm_operator define_selective_scan() { return make_operator<SelectiveScan>(); }
calm_operator define_selective_scan_grad() { return make_operator<SelectiveScanGrad>(); }

}  // namespace calm::ops
