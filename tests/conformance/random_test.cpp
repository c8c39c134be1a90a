#include <calm/random.h>
#include <calm/random_vectors.h>

#include <cmath>

#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/draws.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(Random);
CALM_ON_EVERY_F64_BACKEND(RandomGradient);

const char *const kOps[] = {"random_uniform", "random_normal"};

Case draws(const char *op, Shape shape, double seed = -1, double row_base = 0,
           double micro_step = 0, int stream = 12345) {
  const std::size_t n = count(shape);
  return {op,
          {real(std::move(shape), std::vector<double>(n)), scalar_i64(seed), scalar_i32(row_base),
           scalar_i32(micro_step)},
          {value("stream", stream)}};
}

TEST_P(Random, UniformsAgreeToTheBit) {
  for (const Shape &shape : {Shape{1}, Shape{7}, Shape{1, 1}, Shape{3, 5}, Shape{65, 2},
                             Shape{2, 129}, Shape{3, 2, 5}}) {
    for (const double seed : {0.0, -1.0, 1234567890123456.0}) {
      expect_oracle(device(), draws("random_uniform", shape, seed, 0, 0), oracle::random);
      expect_oracle(device(), draws("random_uniform", shape, seed, 1000, 7), oracle::random);
    }
  }
}
CALM_COVERS(Random, UniformsAgreeToTheBit, kOracle, "random_uniform");

TEST_P(Random, NormalsAgreeToOneMillionth) {
  for (const Shape &shape : {Shape{1}, Shape{7}, Shape{3, 5}, Shape{65, 66}, Shape{3, 2, 5}}) {
    const Case c = draws("random_normal", shape, 99, 3, 2);
    const Tensor want = oracle::random(c)[0];
    const Array got = run(device(), c)[0];
    exercised(Kind::kOracle, c.op, describe_case(c));
    for (std::size_t i = 0; i < got.values.size(); ++i) {
      EXPECT_NEAR(got.values[i], want.values[i].v, kNormalDraw) << i;
    }
  }
}
CALM_COVERS(Random, NormalsAgreeToOneMillionth, kOracle, "random_normal");

TEST_P(Random, WithoutAStreamTheOriginOfTheNodeGivesIt) {
  expect_oracle(device(), draws("random_uniform", {3, 5}, 4, 0, 0, 0), oracle::random);
}

TEST_P(Random, RowBaseShiftsRows) {
  for (const char *op : kOps) {
    const std::vector<double> all = run(device(), draws(op, {6, 5}))[0].values;
    const std::vector<double> tail = run(device(), draws(op, {2, 5}, -1, 4))[0].values;
    EXPECT_EQ(tail, std::vector<double>(all.end() - 10, all.end())) << op;
  }
}

TEST_P(Random, AGivenDrawReplacesIt) {
  for (const char *op : kOps) {
    Case c = draws(op, {3, 5});
    c.ins.push_back(draw(1, {3, 5}));
    EXPECT_EQ(run(device(), c)[0].values, c.ins[4].values) << op;
  }
}
CALM_COVERS(Random, AGivenDrawReplacesIt, kHand, "random_uniform", "random_normal");

TEST_P(Random, NormalsHaveMeanZeroAndVarianceOne) {
  const std::vector<double> got = run(device(), draws("random_normal", {1000, 100}))[0].values;
  double sum = 0;
  double squares = 0;
  for (const double x : got) {
    sum += x;
    squares += x * x;
  }
  const double n = static_cast<double>(got.size());
  // Five standard deviations of the mean and of the mean square.
  EXPECT_LT(std::fabs(sum / n), 5 / std::sqrt(n));
  EXPECT_LT(std::fabs(squares / n - 1), 5 * std::sqrt(2 / n));
}

TEST_P(RandomGradient, PassesThroughAGivenDraw) {
  for (const char *op : kOps) {
    Case c = draws(op, {3, 5});
    c.ins.push_back(draw(1, {3, 5}));
    expect_gradient(device(), c, oracle::random, {4});
  }
}
CALM_COVERS(RandomGradient, PassesThroughAGivenDraw, kGradient, "random_uniform", "random_normal");

TEST(Philox, GivesTheKnownAnswers) {
  for (const calm_philox_vector &known : calm_philox_vectors) {
    const calm_philox4 got =
        calm_philox(known.key[0] | std::uint64_t{known.key[1]} << 32, known.counter[0],
                    known.counter[1], known.counter[2], known.counter[3]);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(got.word[i], known.word[i]);
    }
  }
}

TEST(Philox, UniformsReachNeitherEndTooFar) {
  EXPECT_EQ(calm_uniform(0), 0.0F);
  EXPECT_EQ(calm_uniform(0xffffffffu), 1.0F - 0x1p-24F);
}

TEST(RandomArguments, AreChecked) {
  for (const char *op : kOps) {
    Case c = draws(op, {3, 5});
    c.ins[0] = real(1);
    expect_refused(c, "like: expected a tensor with rows, found f32[]");
    c = draws(op, {3, 5});
    c.ins[1] = scalar_i32(1.0);
    expect_refused(c, "seed: expected i64[], found i32[]");
    c = draws(op, {3, 5});
    c.ins[2] = scalar_i64(1);
    expect_refused(c, "row_base: expected i32[], found i64[]");
    c = draws(op, {3, 5});
    c.ins[3] = real(1);
    expect_refused(c, "micro_step: expected i32[], found f32[]");
    c = draws(op, {3, 5});
    c.ins.push_back(draw(1, {3, 4}));
    expect_refused(c, "draw: expected f32[3, 5], found f32[3, 4]");
  }
}
CALM_COVERS(RandomArguments, AreChecked, kRefused, "random_uniform", "random_normal");

}  // namespace
}  // namespace calm::conformance
