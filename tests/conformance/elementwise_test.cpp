#include <limits>

#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/elementwise.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(Elementwise);
CALM_ON_EVERY_F64_BACKEND(ElementwiseGradient);

const char *const kBinary[] = {"add", "sub", "mul", "div"};
const char *const kUnary[] = {"neg", "exp", "log", "sqrt", "square", "sigmoid", "tanh"};

// Divisors, logarithms and roots stay away from zero.
bool wants_positive(const std::string &op) { return op == "log" || op == "sqrt" || op == "div"; }

Array operand(const std::string &op, std::uint64_t seed, const Shape &shape) {
  return wants_positive(op) ? draw(seed, shape, 0.5, 3) : draw(seed, shape);
}

TEST_P(Elementwise, BinaryOperatorsTakeARowOrAScalarSecond) {
  const Array a = real({2, 2}, {1, 2, 3, 4});
  expect_values(run(device(), {"add", {a, real({2}, {10, 20})}})[0], {11, 22, 13, 24});
  expect_values(run(device(), {"sub", {a, real(1)}})[0], {0, 1, 2, 3});
  expect_values(run(device(), {"mul", {a, a}})[0], {1, 4, 9, 16});
  expect_values(run(device(), {"div", {a, real({2}, {2, 4})}})[0], {0.5, 0.5, 1.5, 1});
}
CALM_COVERS(Elementwise, BinaryOperatorsTakeARowOrAScalarSecond, kHand, "add", "sub", "mul", "div");

TEST_P(Elementwise, UnaryOperatorsHaveTheirValues) {
  const Array x = real({2}, {1, 4});
  expect_values(run(device(), {"neg", {x}})[0], {-1, -4});
  expect_values(run(device(), {"exp", {x}})[0], {2.718281828459045, 54.598150033144236});
  expect_values(run(device(), {"log", {x}})[0], {0, 1.3862943611198906});
  expect_values(run(device(), {"sqrt", {x}})[0], {1, 2});
  expect_values(run(device(), {"square", {x}})[0], {1, 16});
  expect_values(run(device(), {"sigmoid", {x}})[0], {0.7310585786300049, 0.9820137900379085});
  expect_values(run(device(), {"tanh", {x}})[0], {0.7615941559557649, 0.999329299739067});
}
CALM_COVERS(Elementwise, UnaryOperatorsHaveTheirValues, kHand, "neg", "exp", "log", "sqrt",
            "square", "sigmoid", "tanh");

TEST_P(Elementwise, SigmoidAndTanhStandLargeArguments) {
  const Array x = real({2}, {-1000, 1000});
  EXPECT_EQ(run(device(), {"sigmoid", {x}})[0].values, (std::vector<double>{0, 1}));
  EXPECT_EQ(run(device(), {"tanh", {x}})[0].values, (std::vector<double>{-1, 1}));
}

TEST_P(Elementwise, NanIsKept) {
  const Array x = real({1}, {std::numeric_limits<double>::quiet_NaN()});
  for (const char *op : kUnary) {
    EXPECT_TRUE(std::isnan(run(device(), {op, {x}})[0].values[0])) << op;
  }
}

TEST_P(Elementwise, AgreesWithTheOracle) {
  const std::vector<Shape> shapes = {{},   {1},     {2},    {63},      {64},
                                     {65}, {17, 1}, {5, 7}, {2, 3, 5}, {129, 65}};
  for (const Shape &shape : shapes) {
    for (const char *op : kUnary) {
      expect_oracle(device(), {op, {operand(op, 1, shape)}}, oracle::unary);
    }
    std::vector<Shape> seconds = {shape, {}};
    if (!shape.empty()) {
      seconds.push_back({shape.back()});
    }
    for (const char *op : kBinary) {
      for (const Shape &second : seconds) {
        expect_oracle(device(), {op, {draw(1, shape), operand(op, 2, second)}}, oracle::binary);
      }
    }
  }
}
CALM_COVERS(Elementwise, AgreesWithTheOracle, kOracle, "add", "sub", "mul", "div", "neg", "exp",
            "log", "sqrt", "square", "sigmoid", "tanh");

TEST_P(ElementwiseGradient, OfUnaryOperatorsAgreesWithFiniteDifferences) {
  for (const char *op : kUnary) {
    expect_gradient(device(), {op, {operand(op, 1, {5, 13})}}, oracle::unary, {0});
  }
}
CALM_COVERS(ElementwiseGradient, OfUnaryOperatorsAgreesWithFiniteDifferences, kGradient, "neg",
            "exp", "log", "sqrt", "square", "sigmoid", "tanh");

TEST_P(ElementwiseGradient, OfABroadcastOperandIsSummed) {
  for (const char *op : kBinary) {
    for (const Shape &second : {Shape{5, 7}, Shape{7}, Shape{}}) {
      const Case c{op, {draw(1, {5, 7}), operand(op, 2, second)}};
      expect_gradient(device(), c, oracle::binary, {0, 1});
      expect_gradient(device(), c, oracle::binary, {0});
      expect_gradient(device(), c, oracle::binary, {1});
    }
    const Case cube{op, {draw(1, {2, 3, 5}), operand(op, 2, {2, 3, 5})}};
    expect_gradient(device(), cube, oracle::binary, {0, 1});
    const Case scalar{op, {draw(1, {2, 3, 5}), operand(op, 2, {})}};
    expect_gradient(device(), scalar, oracle::binary, {1});
  }
}
CALM_COVERS(ElementwiseGradient, OfABroadcastOperandIsSummed, kGradient, "add", "sub", "mul",
            "div");

TEST(ElementwiseArguments, AreChecked) {
  for (const char *op : kBinary) {
    expect_refused({op, {draw(1, {5, 7}), draw(1, {5})}},
                   "b: expected f32[5, 7], its last axis or a scalar, found f32[5]");
    expect_refused({op, {draw(1, {7}), draw(1, {5, 7})}},
                   "b: expected f32[7] or a scalar, found f32[5, 7]");
    expect_refused({op, {real(1), draw(1, {1})}}, "b: expected f32[], found f32[1]");
    expect_refused({op, {draw(1, {2}), i32({1, 2})}},
                   "b: expected f32[2] or a scalar, found i32[2]");
  }
  for (const char *op : kUnary) {
    expect_refused({op, {i32({1})}}, "x: expected an f32 or f64 tensor, found i32[1]");
    expect_refused({op, {absent()}}, "x: expected an f32 or f64 tensor, found nothing");
  }
}
CALM_COVERS(ElementwiseArguments, AreChecked, kRefused, "add", "sub", "mul", "div", "neg", "exp",
            "log", "sqrt", "square", "sigmoid", "tanh");

}  // namespace
}  // namespace calm::conformance
