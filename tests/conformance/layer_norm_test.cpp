#include <array>

#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/rows.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(LayerNorm);
CALM_ON_EVERY_F64_BACKEND(LayerNormGradient);

Case normed(std::int64_t rows, std::int64_t width, double offset = 0) {
  return {"layer_norm",
          {draw(1, {rows, width}, offset - 2, offset + 2), draw(2, {width}), draw(3, {width})},
          {value("eps", 1e-5)}};
}

// The backward operator with mean and rstd as the forward one gives them.
Case normed_grad(std::int64_t rows, std::int64_t width) {
  const Case forward = normed(rows, width);
  const Tensors outs = oracle::layer_norm(forward);
  return {"layer_norm_grad",
          {forward.ins[0], forward.ins[1], array(outs[1]), array(outs[2]), draw(4, {rows, width})}};
}

TEST_P(LayerNorm, NormalisesEachRowWithTheBiasedVariance) {
  const Case c{"layer_norm", {real({1, 2}, {1, 3}), real({2}, {2, 0.5}), real({2}, {10, -1})}};
  const std::vector<Array> got = run(device(), c);
  expect_values(got[0], {8.000009999925, -0.5000024999812501});
  expect_values(got[1], {2});
  expect_values(got[2], {0.9999950000374997});
}
CALM_COVERS(LayerNorm, NormalisesEachRowWithTheBiasedVariance, kHand, "layer_norm");

TEST_P(LayerNorm, GradientLosesItsMeanAndItsShareOfTheRow) {
  const Case c{"layer_norm_grad",
               {real({1, 3}, {-1, 0, 1}), real({3}, {1, 1, 2}), real({1}, {0}), real({1}, {1}),
                real({1, 3}, {1, 2, 3})}};
  const std::vector<Array> got = run(device(), c);
  // Weighted gradients 1 2 6: mean 3, mean of their products with the row 5/3.
  expect_values(got[0], {-1.0 / 3, -1, 4.0 / 3}, 6);
  expect_values(got[1], {-1, 0, 3});
  expect_values(got[2], {1, 2, 3});
}
CALM_COVERS(LayerNorm, GradientLosesItsMeanAndItsShareOfTheRow, kHand, "layer_norm_grad");

TEST_P(LayerNorm, GivesTheBiasWhereARowIsConstant) {
  const Case c{"layer_norm",
               {real({1, 3}, {7, 7, 7}), real({3}, {1, 2, 3}), real({3}, {4, 5, 6})},
               {value("eps", 0.25)}};
  const std::vector<Array> got = run(device(), c);
  expect_values(got[0], {4, 5, 6});
  expect_values(got[2], {2});
}

TEST_P(LayerNorm, AgreesWithTheOracle) {
  for (const auto &[rows, width] : std::vector<std::array<std::int64_t, 2>>{{1, 2},
                                                                            {2, 3},
                                                                            {3, 1},
                                                                            {5, 7},
                                                                            {17, 63},
                                                                            {63, 64},
                                                                            {64, 65},
                                                                            {33, 96},
                                                                            {17, 128},
                                                                            {41, 192},
                                                                            {129, 40},
                                                                            {65, 320}}) {
    expect_oracle(device(), normed(rows, width), oracle::layer_norm);
    expect_oracle(device(), normed_grad(rows, width), oracle::layer_norm_grad);
  }
}
CALM_COVERS(LayerNorm, AgreesWithTheOracle, kOracle, "layer_norm", "layer_norm_grad");

TEST_P(LayerNorm, KeepsItsPrecisionFarFromZero) {
  expect_oracle(device(), normed(3, 64, 1000), oracle::layer_norm);
}

TEST_P(LayerNormGradient, AgreesWithFiniteDifferences) {
  expect_gradient(device(), normed(5, 7), oracle::layer_norm, {0, 1, 2});
  expect_gradient(device(), normed(3, 17), oracle::layer_norm, {0, 1, 2});
  expect_gradient(device(), normed(65, 3), oracle::layer_norm, {1, 2});
}
CALM_COVERS(LayerNormGradient, AgreesWithFiniteDifferences, kGradient, "layer_norm");

TEST(LayerNormArguments, AreChecked) {
  const Array x = draw(1, {4, 3});
  const Array w = draw(1, {3});
  expect_refused({"layer_norm", {w, w, w}},
                 "x: expected an f32 or f64 tensor of rank 2, found f32[3]");
  expect_refused({"layer_norm", {x, draw(1, {4}), w}}, "weight: expected f32[3], found f32[4]");
  expect_refused({"layer_norm", {x, w, x}}, "bias: expected f32[3], found f32[4, 3]");
  const Array row = draw(1, {4});
  expect_refused({"layer_norm_grad", {x, w, w, row, x}}, "mean: expected f32[4], found f32[3]");
  expect_refused({"layer_norm_grad", {x, w, row, w, x}}, "rstd: expected f32[4], found f32[3]");
  expect_refused({"layer_norm_grad", {x, w, row, row, w}},
                 "grad: expected f32[4, 3], found f32[3]");
}
CALM_COVERS(LayerNormArguments, AreChecked, kRefused, "layer_norm", "layer_norm_grad");

}  // namespace
}  // namespace calm::conformance
