#include "tests/conformance/examples.hpp"
#include "tests/conformance/harness.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(Ewc);

Tensors penalty_oracle(const Case &c) {
  Tensor grad(c.ins[0]), total(Shape{});
  Sum sum;
  for (std::size_t i = 0; i < grad.values.size(); ++i) {
    const Tracked f = c.ins[2].values[i];
    const Tracked moved = Tracked(c.ins[1].values[i]) - Tracked(c.ins[3].values[i]);
    grad(i) = grad(i) + Tracked(c.ins[4].values[0]) * f * moved;
    sum.add(f * moved * moved);
  }
  total(0) = sum.result();
  return {grad, total};
}

Tensors fisher_oracle(const Case &c) {
  Tensor out(c.ins[0]);
  for (std::size_t i = 0; i < out.values.size(); ++i) {
    const Tracked g = c.ins[1].values[i];
    out(i) = Tracked(c.ins[2].values[0]) * out(i) + Tracked(c.ins[3].values[0]) * g * g;
  }
  return {out};
}

Case penalty(std::int64_t n) {
  return {"ewc_penalty",
          {draw(1, {n}), draw(2, {n}), draw(3, {n}, 0, 1), draw(4, {n}), real(0.375)}};
}
Case fisher(std::int64_t n) {
  return {"fisher", {draw(1, {n}, 0, 1), draw(2, {n}), real(0.875), real(0.125)}};
}

TEST_P(Ewc, ThePenaltyPullsTowardsTheAnchor) {
  const Case c{
      "ewc_penalty",
      {real({2}, {1, 1}), real({2}, {3, 5}), real({2}, {0.5, 0}), real({2}, {1, 1}), real(4)}};
  const std::vector<Array> got = run(device(), c);
  expect_values(got[0], {1 + 4 * 0.5 * 2, 1});
  expect_values(got[1], {0.5 * 4});
}
CALM_COVERS(Ewc, ThePenaltyPullsTowardsTheAnchor, kHand, "ewc_penalty");

TEST_P(Ewc, FisherIsARunningMeanOfSquares) {
  const Case c{"fisher", {real({2}, {8, 0}), real({2}, {2, -3}), real(0.5), real(0.25)}};
  expect_values(run(device(), c)[0], {8 * 0.5 + 0.25 * 4, 0.25 * 9});
}
CALM_COVERS(Ewc, FisherIsARunningMeanOfSquares, kHand, "fisher");

TEST_P(Ewc, BothAgreeWithTheOracle) {
  for (const std::int64_t n : {1, 2, 3, 7, 63, 64, 65, 129, 5000}) {
    Case p = penalty(n);
    Case f = fisher(n);
    expect_oracle(device(), p, penalty_oracle);
    expect_oracle(device(), f, fisher_oracle);
    p.updates = {{0, 0}};
    f.updates = {{0, 0}};
    expect_oracle(device(), p, penalty_oracle);
    expect_oracle(device(), f, fisher_oracle);
  }
}
CALM_COVERS(Ewc, BothAgreeWithTheOracle, kOracle, "ewc_penalty", "fisher");

// Before the first consolidation (program rule 10).
TEST_P(Ewc, WithoutFisherInformationGradientsStayTheSameBits) {
  Case c = penalty(129);
  c.ins[2].values.assign(129, 0.0);
  const std::vector<Array> got = run(device(), c);
  EXPECT_EQ(got[0].values, c.ins[0].values);
  EXPECT_EQ(got[1].values[0], 0);
}

TEST(EwcArguments, AreChecked) {
  const char *const names[] = {"param", "fisher", "anchor", "scale"};
  for (std::size_t i = 0; i < std::size(names); ++i) {
    Case c = penalty(3);
    c.ins[i + 1] = draw(1, {2});
    expect_refused(
        c, std::string(names[i]) + ": expected " + (i < 3 ? "f32[3]" : "f32[]") + ", found f32[2]");
  }
  Case matrix = penalty(3);
  matrix.ins[0] = draw(1, {3, 1});
  expect_refused(matrix, "grad: expected an f32 or f64 tensor of rank 1, found f32[3, 1]");
  Case f = fisher(3);
  f.ins[1] = draw(1, {2});
  expect_refused(f, "grad: expected f32[3], found f32[2]");
  f = fisher(3);
  f.ins[3] = i32({1});
  expect_refused(f, "take: expected f32[], found i32[1]");
}
CALM_COVERS(EwcArguments, AreChecked, kRefused, "ewc_penalty", "fisher");

const bool kPenaltyExample = add_example(penalty(5000));
const bool kFisherExample = add_example(fisher(5000));

}  // namespace
}  // namespace calm::conformance
