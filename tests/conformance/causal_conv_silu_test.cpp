#include <array>

#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/sequences.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(CausalConvSilu);
CALM_ON_EVERY_F64_BACKEND(CausalConvSiluGradient);

Case conv(const Ragged &batch, std::int64_t channels, std::int64_t taps, bool state) {
  Case c{"causal_conv_silu",
         {tokens(draw(1, {batch.rows(), channels})), draw(2, {channels, taps}), batch.offsets()}};
  if (state) {
    c.ins.push_back(draw(3, {batch.sequences(), channels, taps}));
    c.ins.back().axis0 = CALM_AXIS_SEQUENCES;
  }
  return c;
}

Case conv_grad(const Ragged &batch, std::int64_t channels, std::int64_t taps) {
  Case c = conv(batch, channels, taps, false);
  c.op = "causal_conv_silu_grad";
  c.ins.push_back(draw_grad(4, batch, channels));
  return c;
}

TEST_P(CausalConvSilu, WeighsTheNewestValueFirst) {
  const Case c{"causal_conv_silu",
               {real({3, 1}, {1, 2, 3}), real({1, 2}, {0.5, 0.25}), i32({0, 3})}};
  const std::vector<Array> got = run(device(), c);
  expect_values(got[0], {0.3112296656009273, 0.9716248264683639, 1.7615941559557646});
  expect_values(got[1], {2, 3});
}
CALM_COVERS(CausalConvSilu, WeighsTheNewestValueFirst, kHand, "causal_conv_silu");

TEST_P(CausalConvSilu, SendsGradientsBackThroughEveryTap) {
  const Case c{
      "causal_conv_silu_grad",
      {real({2, 1}, {1, 2}), real({1, 2}, {0.5, 0.25}), i32({0, 2}), real({2, 1}, {1, 1})}};
  const std::vector<Array> got = run(device(), c);
  expect_values(got[0], {0.618400804880154, 0.4968404224576562});
  expect_values(got[1], {2.7273228771332767, 0.9936808449153124});
}
CALM_COVERS(CausalConvSilu, SendsGradientsBackThroughEveryTap, kHand, "causal_conv_silu_grad");

TEST_P(CausalConvSilu, ContinuesFromAState) {
  // The newest column of the state is x[-1] = 1: row 0 is row 1 of the case above.
  const Case c{
      "causal_conv_silu",
      {real({2, 1}, {2, 3}), real({1, 2}, {0.5, 0.25}), i32({0, 2}), real({1, 1, 2}, {9, 1})}};
  const std::vector<Array> got = run(device(), c);
  expect_values(got[0], {0.9716248264683639, 1.7615941559557646});
  expect_values(got[1], {2, 3});
}

TEST_P(CausalConvSilu, StateOfAShortSequenceKeepsOlderValues) {
  const Case c{"causal_conv_silu",
               {real({1, 1}, {5}), real({1, 3}, {1, 0, 0}), i32({0, 1, 1}),
                real({2, 1, 3}, {1, 2, 3, 6, 7, 8})}};
  expect_values(run(device(), c)[1], {2, 3, 5, 6, 7, 8});
}

TEST_P(CausalConvSilu, AgreesWithTheOracle) {
  for (const Ragged &batch : awkward_batches()) {
    for (const auto &[channels, taps] : std::vector<std::array<std::int64_t, 2>>{
             {1, 1}, {3, 4}, {17, 3}, {8, 7}, {33, 4}, {66, 4}}) {
      expect_oracle(device(), conv(batch, channels, taps, false), oracle::causal_conv_silu);
      expect_oracle(device(), conv(batch, channels, taps, true), oracle::causal_conv_silu);
      expect_oracle(device(), conv_grad(batch, channels, taps), oracle::causal_conv_silu_grad);
    }
  }
}
CALM_COVERS(CausalConvSilu, AgreesWithTheOracle, kOracle, "causal_conv_silu",
            "causal_conv_silu_grad");

TEST_P(CausalConvSilu, AgreesWithTheOracleOverManyRows) {
  Ragged batch;
  for (std::int64_t i = 0; i < 200; ++i) {
    batch.lengths.push_back(i % 3 == 0 ? i % 7 : 90 + i);
  }
  expect_oracle(device(), conv(batch, 2, 4, false), oracle::causal_conv_silu);
  expect_oracle(device(), conv_grad(batch, 2, 4), oracle::causal_conv_silu_grad);
}

TEST_P(CausalConvSilu, StateMayBeUpdatedInPlace) {
  for (const Ragged &batch : awkward_batches()) {
    Case c = conv(batch, 17, 4, true);
    c.updates = {{1, 3}};
    expect_oracle(device(), c, oracle::causal_conv_silu);
  }
}

TEST_P(CausalConvSilu, TwoHalvesWithCarriedStateEqualOnePass) {
  const Ragged whole{{65}};
  const Case c = conv(whole, 3, 4, false);
  const std::vector<Array> once = run(device(), c);
  const auto part = [&](std::int64_t begin, std::int64_t end, const Array *state) {
    Case half = conv({{end - begin}}, 3, 4, false);
    half.ins[0].values.assign(c.ins[0].values.begin() + begin * 3,
                              c.ins[0].values.begin() + end * 3);
    if (state != nullptr) {
      half.ins.push_back(*state);
    }
    return run(device(), half);
  };
  const std::vector<Array> first = part(0, 2, nullptr);
  const std::vector<Array> second = part(2, 65, &first[1]);
  std::vector<double> rows = first[0].values;
  rows.insert(rows.end(), second[0].values.begin(), second[0].values.end());
  EXPECT_EQ(rows, once[0].values);
  EXPECT_EQ(second[1].values, once[1].values);
}

TEST_P(CausalConvSiluGradient, AgreesWithFiniteDifferences) {
  for (const Ragged &batch : awkward_batches()) {
    expect_gradient(device(), conv(batch, 2, 3, false), oracle::causal_conv_silu, {0, 1});
  }
}
CALM_COVERS(CausalConvSiluGradient, AgreesWithFiniteDifferences, kGradient, "causal_conv_silu");

TEST(CausalConvSiluArguments, AreChecked) {
  const Array x = draw(1, {4, 3});
  const Array w = draw(1, {3, 2});
  const Array offsets = i32({0, 1, 4});
  expect_refused({"causal_conv_silu", {w, x, offsets}},
                 "weight: expected f32[2, 3], found f32[4, 3]");
  expect_refused({"causal_conv_silu", {x, w, scalar_i32(1.0)}},
                 "offsets: expected i32 [sequences + 1], found i32[]");
  expect_refused({"causal_conv_silu", {x, w, i32({0})}},
                 "offsets: expected i32 [sequences + 1], found i32[1]");
  expect_refused({"causal_conv_silu", {x, w, offsets, draw(1, {2, 3, 3})}},
                 "state_in: expected f32[2, 3, 2], found f32[2, 3, 3]");
  expect_refused({"causal_conv_silu_grad", {x, w, offsets, w}},
                 "grad: expected f32[4, 3], found f32[3, 2]");
}
CALM_COVERS(CausalConvSiluArguments, AreChecked, kRefused, "causal_conv_silu",
            "causal_conv_silu_grad");

}  // namespace
}  // namespace calm::conformance
