#include <limits>

#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/elementwise.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(Activation);
CALM_ON_EVERY_F64_BACKEND(ActivationGradient);

const char *const kActivations[] = {"gelu", "silu", "softplus"};
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// From the tails over the steep parts to both sides of softplus's switch at 20.
Array spread() {
  return real({14}, {-100, -30, -10, -3, -1, -0.25, 0, 0.25, 1, 3, 10, 19.5, 20.5, 100});
}

TEST_P(Activation, HasTheValuesOfItsFormula) {
  const Array x = real({3}, {0, 1, -1});
  expect_values(run(device(), {"gelu", {x}})[0], {0, 0.8411919906082768, -0.15880800939172324});
  expect_values(run(device(), {"silu", {x}})[0], {0, 0.7310585786300049, -0.2689414213699951});
  expect_values(run(device(), {"softplus", {x}})[0],
                {0.6931471805599453, 1.3132616875182228, 0.31326168751822286});
}
CALM_COVERS(Activation, HasTheValuesOfItsFormula, kHand, "gelu", "silu", "softplus");

TEST_P(Activation, HasTheSlopesOfItsFormula) {
  const Array x = real({3}, {0, 1, -1});
  const Array grad = real({3}, {2, 1, 4});
  expect_values(run(device(), {"gelu_grad", {x, grad}})[0],
                {1, 1.0829640838457826, 4 * -0.08296408384578255});
  expect_values(run(device(), {"silu_grad", {x, grad}})[0],
                {1, 0.9276705118714869, 4 * 0.07232948812851325});
  expect_values(run(device(), {"softplus_grad", {x, grad}})[0],
                {1, 0.7310585786300049, 4 * 0.2689414213699951});
}
CALM_COVERS(Activation, HasTheSlopesOfItsFormula, kHand, "gelu_grad", "silu_grad", "softplus_grad");

TEST_P(Activation, SoftplusIsExactInItsTails) {
  expect_values(run(device(), {"softplus", {real({3}, {21, 100, -30})}})[0],
                {21, 100, 9.357622968839737e-14});
}

TEST_P(Activation, IsFiniteAtMinusInfinityAndKeepsNan) {
  const Array x = real({2}, {-kInfinity, std::numeric_limits<double>::quiet_NaN()});
  for (const char *op : kActivations) {
    SCOPED_TRACE(op);
    const Array got = run(device(), {op, {x}})[0];
    EXPECT_TRUE(std::isfinite(got.values[0])) << got.values[0];
    EXPECT_TRUE(std::isnan(got.values[1])) << got.values[1];
  }
}

TEST_P(Activation, AgreesWithTheOracle) {
  for (const std::string op : kActivations) {
    for (const Array &x : {spread(), draw(1, {1}), draw(2, {63}, -8, 8), draw(3, {5, 13}, -8, 8),
                           draw(4, {2, 3, 5}, -8, 8), draw(5, {}), draw(6, {129, 65}, -30, 30)}) {
      expect_oracle(device(), {op, {x}}, oracle::unary);
      expect_oracle(device(), {op + "_grad", {x, draw(7, x.shape)}}, oracle::activation_grad);
    }
  }
}
CALM_COVERS(Activation, AgreesWithTheOracle, kOracle, "gelu", "silu", "softplus", "gelu_grad",
            "silu_grad", "softplus_grad");

TEST_P(ActivationGradient, AgreesWithFiniteDifferences) {
  for (const char *op : kActivations) {
    expect_gradient(device(), {op, {spread()}}, oracle::unary, {0});
    expect_gradient(device(), {op, {draw(1, {5, 13}, -6, 6)}}, oracle::unary, {0});
  }
}
CALM_COVERS(ActivationGradient, AgreesWithFiniteDifferences, kGradient, "gelu", "silu", "softplus");

TEST(ActivationArguments, AreChecked) {
  for (const std::string op : kActivations) {
    expect_refused({op, {i32({1})}}, "x: expected an f32 or f64 tensor, found i32[1]");
    expect_refused({op + "_grad", {draw(1, {3}), draw(1, {2})}},
                   "grad: expected f32[3], found f32[2]");
  }
}
CALM_COVERS(ActivationArguments, AreChecked, kRefused, "gelu", "silu", "softplus", "gelu_grad",
            "silu_grad", "softplus_grad");

}  // namespace
}  // namespace calm::conformance
