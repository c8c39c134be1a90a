#include <array>

#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/rows.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(Matmul);
CALM_ON_EVERY_F64_BACKEND(MatmulGradient);

Case product(std::int64_t m, std::int64_t k, std::int64_t n, bool ta, bool tb) {
  return {"matmul",
          {draw(1, ta ? Shape{k, m} : Shape{m, k}), draw(2, tb ? Shape{n, k} : Shape{k, n})},
          {value("transpose_a", ta), value("transpose_b", tb)}};
}

template <class Body>
void for_each_transposition(Body &&body) {
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      body(ta, tb);
    }
  }
}

TEST_P(Matmul, MultipliesRowsByColumns) {
  const Array a = real({2, 3}, {1, 2, 3, 4, 5, 6});
  const Array b = real({3, 2}, {7, 8, 9, 10, 11, 12});
  expect_values(run(device(), {"matmul", {a, b}})[0], {58, 64, 139, 154});
}
CALM_COVERS(Matmul, MultipliesRowsByColumns, kHand, "matmul");

TEST_P(Matmul, ReadsTransposedOperandsByColumns) {
  const Array a = real({3, 2}, {1, 4, 2, 5, 3, 6});
  const Array b = real({2, 3}, {7, 9, 11, 8, 10, 12});
  const Case c{"matmul", {a, b}, {value("transpose_a", true), value("transpose_b", true)}};
  expect_values(run(device(), c)[0], {58, 64, 139, 154});
}

TEST_P(Matmul, AgreesWithTheOracle) {
  const std::vector<std::array<std::int64_t, 3>> sizes = {
      {1, 1, 1},     {1, 7, 3},    {2, 3, 5},    {17, 5, 7},     {7, 1, 1},  {63, 64, 65},
      {65, 129, 17}, {129, 63, 2}, {3, 320, 64}, {64, 128, 320}, {5, 2, 129}};
  for_each_transposition([&](bool ta, bool tb) {
    for (const auto &[m, k, n] : sizes) {
      expect_oracle(device(), product(m, k, n, ta, tb), oracle::matmul);
    }
  });
}
CALM_COVERS(Matmul, AgreesWithTheOracle, kOracle, "matmul");

TEST_P(Matmul, SumsOverManyRowsStayAccurate) {
  // All terms positive, as in gradients of a bias: errors of a plain loop would add up.
  const Array ones = real({10000, 1}, std::vector<double>(10000, 1));
  Array x = draw(3, {10000, 3}, 1, 2);
  const Case c{"matmul", {ones, x}, {value("transpose_a", true), value("transpose_b", false)}};
  const Tensor want = oracle::matmul(c)[0];
  const Array got = run(device(), c)[0];
  for (std::size_t i = 0; i < 3; ++i) {
    // Blocks of up to 1024 rows, or double: 1024 roundoffs instead of 10000.
    EXPECT_NEAR(got.values[i], want.values[i].v, allowed(device().real(), 1024 * want.values[i].v));
  }
}

TEST_P(MatmulGradient, AgreesWithFiniteDifferencesInEveryTransposition) {
  for_each_transposition([&](bool ta, bool tb) {
    expect_gradient(device(), product(7, 5, 3, ta, tb), oracle::matmul, {0, 1});
    expect_gradient(device(), product(3, 17, 2, ta, tb), oracle::matmul, {1});
    expect_gradient(device(), product(2, 3, 17, ta, tb), oracle::matmul, {0});
  });
}
CALM_COVERS(MatmulGradient, AgreesWithFiniteDifferencesInEveryTransposition, kGradient, "matmul");

TEST(MatmulArguments, AreChecked) {
  expect_refused({"matmul", {draw(1, {2, 3}), draw(1, {4, 5})}},
                 "b: expected f32[3, 5], found f32[4, 5]");
  expect_refused({"matmul", {draw(1, {2, 3}), draw(1, {4, 5})}, {value("transpose_b", true)}},
                 "b: expected f32[4, 3], found f32[4, 5]");
  expect_refused({"matmul", {draw(1, {2, 3}), draw(1, {3, 5})}, {value("transpose_a", true)}},
                 "b: expected f32[2, 5], found f32[3, 5]");
  expect_refused({"matmul", {draw(1, {2}), draw(1, {4, 5})}},
                 "a: expected an f32 or f64 tensor of rank 2, found f32[2]");
  expect_refused({"matmul", {draw(1, {2, 3})}}, "expected 2 to 2 operands, found 1");
  expect_refused({"matmul", {draw(1, {2, 3}), draw(1, {3, 5})}, {value("alpha", 2.0)}},
                 "unknown attribute alpha");
}
CALM_COVERS(MatmulArguments, AreChecked, kRefused, "matmul");

}  // namespace
}  // namespace calm::conformance
