#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/elementwise.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(GatedSilu);
CALM_ON_EVERY_F64_BACKEND(GatedSiluGradient);

TEST_P(GatedSilu, MultipliesByTheSiluOfTheGate) {
  const Case c{"gated_silu", {real({3}, {2, 3, 5}), real({3}, {0, 1, -1})}};
  expect_values(run(device(), c)[0], {0, 3 * 0.7310585786300049, 5 * -0.2689414213699951});
}
CALM_COVERS(GatedSilu, MultipliesByTheSiluOfTheGate, kHand, "gated_silu");

TEST_P(GatedSilu, SendsGradientsToBothFactors) {
  const Case c{"gated_silu_grad",
               {real({3}, {2, 3, 5}), real({3}, {0, 1, -1}), real({3}, {1, 1, 2})}};
  const std::vector<Array> got = run(device(), c);
  expect_values(got[0], {0, 0.7310585786300049, 2 * -0.2689414213699951});
  expect_values(got[1], {1, 2.7830115356144605, 2 * 0.36164744064256626});
}
CALM_COVERS(GatedSilu, SendsGradientsToBothFactors, kHand, "gated_silu_grad");

TEST_P(GatedSilu, AgreesWithTheOracle) {
  for (const Shape &shape :
       {Shape{}, Shape{1}, Shape{63}, Shape{5, 17}, Shape{129, 3}, Shape{2, 3, 5}, Shape{65, 64}}) {
    const Array y = draw(1, shape);
    const Array z = draw(2, shape, -30, 30);
    expect_oracle(device(), {"gated_silu", {y, z}}, oracle::gated_silu);
    expect_oracle(device(), {"gated_silu_grad", {y, z, draw(3, shape)}}, oracle::gated_silu_grad);
  }
}
CALM_COVERS(GatedSilu, AgreesWithTheOracle, kOracle, "gated_silu", "gated_silu_grad");

TEST_P(GatedSiluGradient, AgreesWithFiniteDifferences) {
  const Case c{"gated_silu", {draw(1, {7, 5}), draw(2, {7, 5}, -6, 6)}};
  expect_gradient(device(), c, oracle::gated_silu, {0, 1});
}
CALM_COVERS(GatedSiluGradient, AgreesWithFiniteDifferences, kGradient, "gated_silu");

TEST(GatedSiluArguments, AreChecked) {
  expect_refused({"gated_silu", {draw(1, {3}), draw(1, {2})}}, "z: expected f32[3], found f32[2]");
  expect_refused({"gated_silu", {i32({1}), draw(1, {1})}},
                 "y: expected an f32 or f64 tensor, found i32[1]");
  expect_refused({"gated_silu_grad", {draw(1, {3}), draw(1, {3}), draw(1, {3, 1})}},
                 "grad: expected f32[3], found f32[3, 1]");
}
CALM_COVERS(GatedSiluArguments, AreChecked, kRefused, "gated_silu", "gated_silu_grad");

}  // namespace
}  // namespace calm::conformance
