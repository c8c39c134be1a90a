#include <array>

#include "tests/conformance/examples.hpp"
#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/rows.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(L2Normalize);
CALM_ON_EVERY_F64_BACKEND(L2NormalizeGradient);

Case normalized(const Array &x, double eps = 1e-12) {
  return {"l2_normalize", {x}, {value("eps", eps)}};
}

// The backward operator with y and norm as the forward one gives them.
Case normalized_grad(const Array &x, double eps = 1e-12) {
  const Tensors outs = oracle::l2_normalize(normalized(x, eps));
  return {
      "l2_normalize_grad", {array(outs[0]), array(outs[1]), draw(4, x.shape)}, {value("eps", eps)}};
}

const bool kExample = add_example(normalized(draw(1, {320, 40}))) &&
                      add_example({"l2_normalize_grad",
                                   {draw(1, {320, 40}), draw(2, {320}, 0.5, 3), draw(3, {320, 40})},
                                   {value("eps", 1e-12)}});

TEST_P(L2Normalize, DividesEachRowByItsNorm) {
  const std::vector<Array> got =
      run(device(), normalized(real({3, 2}, {3, 4, 0, 0, -0.25, 0}), 0.5));
  expect_values(got[0], {0.6, 0.8, 0, 0, -0.5, 0});
  expect_values(got[1], {5, 0, 0.25});
}
CALM_COVERS(L2Normalize, DividesEachRowByItsNorm, kHand, "l2_normalize");

TEST_P(L2Normalize, GradientIsThePartAcrossTheRow) {
  const Case c{"l2_normalize_grad",
               {real({3, 2}, {0.5, 0.5, 0, 0, -0.5, 0}), real({3}, {2, 0, 0.25}),
                real({3, 2}, {1, 2, 1, -3, 1, 2})},
               {value("eps", 0.5)}};
  // Only the first row is longer than eps: y . grad = 1.5.
  expect_values(run(device(), c)[0], {0.125, 0.625, 2, -6, 2, 4});
}
CALM_COVERS(L2Normalize, GradientIsThePartAcrossTheRow, kHand, "l2_normalize_grad");

TEST_P(L2Normalize, AgreesWithTheOracle) {
  for (const auto &[rows, width] : std::vector<std::array<std::int64_t, 2>>{
           {1, 1}, {2, 3}, {3, 1}, {5, 7}, {17, 63}, {63, 64}, {64, 65}, {129, 40}, {65, 320}}) {
    const Array x = draw(1, {rows, width});
    expect_oracle(device(), normalized(x), oracle::l2_normalize);
    expect_oracle(device(), normalized_grad(x), oracle::l2_normalize_grad);
    // Norms on both sides of eps.
    const Array small = draw(2, {rows, width}, -0.25, 0.25);
    expect_oracle(device(), normalized(small, 0.75), oracle::l2_normalize);
    expect_oracle(device(), normalized_grad(small, 0.75), oracle::l2_normalize_grad);
  }
}
CALM_COVERS(L2Normalize, AgreesWithTheOracle, kOracle, "l2_normalize", "l2_normalize_grad");

TEST_P(L2Normalize, SquaresBeyondTheRangeOfTheTypeDoNotMatter) {
  const std::vector<Array> got =
      run(device(), normalized(real({2, 2}, {0x3p100, 0x4p100, 0x3p-90, 0x4p-90}), 0x1p-100));
  expect_values(got[0], {0.6, 0.8, 0.6, 0.8});
  expect_values(got[1], {0x5p100, 0x5p-90});
}

TEST_P(L2NormalizeGradient, AgreesWithFiniteDifferences) {
  for (const auto &[rows, width] :
       std::vector<std::array<std::int64_t, 2>>{{1, 2}, {5, 7}, {3, 17}}) {
    expect_gradient(device(), normalized(draw(1, {rows, width}, 0.5, 2)), oracle::l2_normalize,
                    {0});
  }
  expect_gradient(device(), normalized(draw(2, {4, 3}, -0.25, 0.25), 0.75), oracle::l2_normalize,
                  {0});
}
CALM_COVERS(L2NormalizeGradient, AgreesWithFiniteDifferences, kGradient, "l2_normalize");

TEST(L2NormalizeArguments, AreChecked) {
  const Array x = draw(1, {4, 3});
  const Array row = draw(1, {4});
  expect_refused({"l2_normalize", {row}},
                 "x: expected an f32 or f64 tensor of rank 2, found f32[4]");
  expect_refused({"l2_normalize_grad", {row, row, x}},
                 "y: expected an f32 or f64 tensor of rank 2, found f32[4]");
  expect_refused({"l2_normalize_grad", {x, draw(1, {3}), x}},
                 "norm: expected f32[4], found f32[3]");
  expect_refused({"l2_normalize_grad", {x, row, row}}, "grad: expected f32[4, 3], found f32[4]");
}
CALM_COVERS(L2NormalizeArguments, AreChecked, kRefused, "l2_normalize", "l2_normalize_grad");

}  // namespace
}  // namespace calm::conformance
