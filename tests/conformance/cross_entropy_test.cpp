#include <array>
#include <cmath>

#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/rows.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(CrossEntropy);
CALM_ON_EVERY_F64_BACKEND(CrossEntropyGradient);

// Every third row does not count.
Array targets(std::int64_t rows, std::int64_t classes) {
  Array out = i32(std::vector<double>(static_cast<std::size_t>(rows)));
  for (std::size_t t = 0; t < out.values.size(); ++t) {
    out.values[t] =
        t % 3 == 2 ? -1 : static_cast<double>(t * 7 % static_cast<std::size_t>(classes));
  }
  return out;
}

Case loss(std::int64_t rows, std::int64_t classes, double scale = 4) {
  return {"cross_entropy", {draw(1, {rows, classes}, -scale, scale), targets(rows, classes)}};
}

Case loss_grad(std::int64_t rows, std::int64_t classes) {
  const Case forward = loss(rows, classes);
  return {"cross_entropy_grad",
          {forward.ins[0], forward.ins[1], array(oracle::cross_entropy(forward)[1]), real(0.375)}};
}

TEST_P(CrossEntropy, SumsOverRowsWithATarget) {
  const double l3 = 1.0986122886681098;
  const Case c{"cross_entropy", {real({3, 2}, {0, l3, 5, 5, 0, l3}), i32({1, -1, 0})}};
  const std::vector<Array> got = run(device(), c);
  expect_values(got[0], {0.28768207245178085 + 1.3862943611198906});
  expect_values(got[1], {1.3862943611198906, 0, 1.3862943611198906});
}
CALM_COVERS(CrossEntropy, SumsOverRowsWithATarget, kHand, "cross_entropy");

TEST_P(CrossEntropy, GradientIsTheProbabilityLessTheTarget) {
  const double l3 = 1.0986122886681098;
  const Case c{
      "cross_entropy_grad",
      {real({2, 2}, {0, l3, 0, l3}), i32({1, -1}), real({2}, {1.3862943611198906, 0}), real(0.5)}};
  expect_values(run(device(), c)[0], {0.125, -0.125, 0, 0}, 0.5);
}
CALM_COVERS(CrossEntropy, GradientIsTheProbabilityLessTheTarget, kHand, "cross_entropy_grad");

TEST_P(CrossEntropy, IsZeroWhenNoRowCounts) {
  const Case c{"cross_entropy", {draw(1, {2, 5}), i32({-1, -1})}};
  EXPECT_EQ(run(device(), c)[0].values, std::vector<double>{0});
  const Case grad{"cross_entropy_grad",
                  {draw(1, {2, 5}), i32({-1, -1}), real({2}, {0, 0}), real(3)}};
  EXPECT_EQ(run(device(), grad)[0].values, std::vector<double>(10, 0));
}

TEST_P(CrossEntropy, StandsLargeLogits) {
  expect_oracle(device(), loss(5, 17, 1000), oracle::cross_entropy);
  const Case c{"cross_entropy", {real({1, 2}, {-30000, 30000}), i32({0})}};
  expect_values(run(device(), c)[0], {60000});
}

TEST_P(CrossEntropy, AgreesWithTheOracle) {
  for (const auto &[rows, classes] : std::vector<std::array<std::int64_t, 2>>{
           {1, 1}, {2, 3}, {3, 2}, {5, 7}, {17, 320}, {63, 65}, {64, 64}, {129, 320}}) {
    expect_oracle(device(), loss(rows, classes), oracle::cross_entropy);
    expect_oracle(device(), loss_grad(rows, classes), oracle::cross_entropy_grad);
  }
}
CALM_COVERS(CrossEntropy, AgreesWithTheOracle, kOracle, "cross_entropy", "cross_entropy_grad");

TEST_P(CrossEntropyGradient, AgreesWithFiniteDifferences) {
  expect_gradient(device(), loss(7, 5), oracle::cross_entropy, {0});
  expect_gradient(device(), loss(3, 65), oracle::cross_entropy, {0});
}
CALM_COVERS(CrossEntropyGradient, AgreesWithFiniteDifferences, kGradient, "cross_entropy");

TEST(CrossEntropyArguments, AreChecked) {
  const Array logits = draw(1, {4, 3});
  const Array good = i32({0, 1, 2, -1});
  expect_refused({"cross_entropy", {good, good}},
                 "logits: expected an f32 or f64 tensor of rank 2, found i32[4]");
  expect_refused({"cross_entropy", {logits, i32({0, 1})}},
                 "targets: expected i32[4], found i32[2]");
  expect_refused({"cross_entropy", {logits, draw(1, {4})}},
                 "targets: expected i32[4], found f32[4]");
  expect_refused({"cross_entropy_grad", {logits, good, logits, real(1)}},
                 "lse: expected f32[4], found f32[4, 3]");
  expect_refused({"cross_entropy_grad", {logits, good, draw(1, {4}), draw(1, {1})}},
                 "grad: expected f32[], found f32[1]");
}
CALM_COVERS(CrossEntropyArguments, AreChecked, kRefused, "cross_entropy", "cross_entropy_grad");

}  // namespace
}  // namespace calm::conformance
