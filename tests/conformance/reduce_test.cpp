#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/elementwise.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(Reduce);
CALM_ON_EVERY_F64_BACKEND(ReduceGradient);

const std::vector<Shape> kMatrices = {{1, 1},   {2, 3},   {5, 7},   {1, 65},
                                      {129, 1}, {64, 63}, {17, 129}};

// A broadcast's first operand for `like`: as sum over the axis gives it.
Shape reduced(const Shape &like, std::int64_t axis) {
  return axis == 0 ? Shape{like[1]} : axis == 1 ? Shape{like[0]} : Shape{};
}

TEST_P(Reduce, SumsOverTheAxis) {
  const Array x = real({2, 3}, {1, 2, 3, 4, 5, 6});
  expect_values(run(device(), {"sum", {x}, {value("axis", 0)}})[0], {5, 7, 9});
  expect_values(run(device(), {"sum", {x}, {value("axis", 1)}})[0], {6, 15});
  expect_values(run(device(), {"sum", {x}})[0], {21});
}
CALM_COVERS(Reduce, SumsOverTheAxis, kHand, "sum");

TEST_P(Reduce, BroadcastsOverTheAxis) {
  const Array like = real({2, 3}, {0, 0, 0, 0, 0, 0});
  expect_values(run(device(), {"broadcast", {real({3}, {1, 2, 3}), like}, {value("axis", 0)}})[0],
                {1, 2, 3, 1, 2, 3});
  expect_values(run(device(), {"broadcast", {real({2}, {1, 2}), like}, {value("axis", 1)}})[0],
                {1, 1, 1, 2, 2, 2});
  expect_values(run(device(), {"broadcast", {real(7), like}})[0], {7, 7, 7, 7, 7, 7});
}
CALM_COVERS(Reduce, BroadcastsOverTheAxis, kHand, "broadcast");

TEST_P(Reduce, AgreesWithTheOracle) {
  for (const Shape &shape : kMatrices) {
    for (const int axis : {-1, 0, 1}) {
      expect_oracle(device(), {"sum", {draw(1, shape)}, {value("axis", axis)}}, oracle::sum);
      expect_oracle(
          device(),
          {"broadcast", {draw(1, reduced(shape, axis)), draw(2, shape)}, {value("axis", axis)}},
          oracle::broadcast);
    }
  }
  for (const Shape &shape : {Shape{}, Shape{1}, Shape{129}, Shape{2, 3, 5}}) {
    expect_oracle(device(), {"sum", {draw(1, shape)}, {value("axis", -1)}}, oracle::sum);
    expect_oracle(device(), {"broadcast", {real(3), draw(2, shape)}, {value("axis", -1)}},
                  oracle::broadcast);
  }
}
CALM_COVERS(Reduce, AgreesWithTheOracle, kOracle, "sum", "broadcast");

TEST_P(Reduce, LongSumsAccumulateInDouble) {
  const Array x = draw(1, {30000, 1}, 1, 2);
  for (const int axis : {-1, 0}) {
    const Case c{"sum", {x}, {value("axis", axis)}};
    const double want = oracle::sum(c)[0].values[0].v;
    // One rounding, of the result.
    EXPECT_NEAR(run(device(), c)[0].values[0], want,
                allowed(CALM_F64, 30000 * want) + allowed(device().real(), want));
  }
}

TEST_P(ReduceGradient, AgreesWithFiniteDifferences) {
  for (const int axis : {-1, 0, 1}) {
    expect_gradient(device(), {"sum", {draw(1, {5, 7})}, {value("axis", axis)}}, oracle::sum, {0});
    expect_gradient(
        device(),
        {"broadcast", {draw(1, reduced({5, 7}, axis)), draw(2, {5, 7})}, {value("axis", axis)}},
        oracle::broadcast, {0});
  }
}
CALM_COVERS(ReduceGradient, AgreesWithFiniteDifferences, kGradient, "sum", "broadcast");

TEST(ReduceArguments, AreChecked) {
  expect_refused({"sum", {draw(1, {5})}, {value("axis", 0)}},
                 "x: expected an f32 or f64 tensor of rank 2, found f32[5]");
  expect_refused({"sum", {i32({5})}}, "x: expected an f32 or f64 tensor, found i32[1]");
  expect_refused({"broadcast", {draw(1, {5}), draw(1, {5, 7})}, {value("axis", 0)}},
                 "x: expected f32[7], found f32[5]");
  expect_refused({"broadcast", {draw(1, {5}), draw(1, {5, 7})}}, "x: expected f32[], found f32[5]");
  expect_refused({"broadcast", {draw(1, {5}), draw(1, {5})}, {value("axis", 1)}},
                 "like: expected an f32 or f64 tensor of rank 2, found f32[5]");
}
CALM_COVERS(ReduceArguments, AreChecked, kRefused, "sum", "broadcast");

}  // namespace
}  // namespace calm::conformance
