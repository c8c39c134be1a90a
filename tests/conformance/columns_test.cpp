#include <calm/cpp/builder.hpp>

#include "core/graph/autodiff.hpp"
#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/elementwise.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(Columns);
CALM_ON_EVERY_F64_BACKEND(ColumnsGradient);

const char *const kSizes[] = {"size0", "size1", "size2", "size3",
                              "size4", "size5", "size6", "size7"};

Case split(std::int64_t rows, const std::vector<std::int64_t> &sizes) {
  Case c{"split", {}};
  std::int64_t columns = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    columns += sizes[i];
    c.attrs.push_back(value(kSizes[i], sizes[i]));
  }
  c.ins.push_back(draw(1, {rows, columns}));
  return c;
}

Case concat(std::int64_t rows, const std::vector<std::int64_t> &sizes) {
  Case c{"concat", {}};
  for (const std::int64_t size : sizes) {
    c.ins.push_back(draw(c.ins.size(), {rows, size}));
  }
  return c;
}

const std::vector<std::vector<std::int64_t>> kWidths = {
    {1}, {3, 1}, {17, 2, 5}, {64, 63}, {1, 1, 1, 1, 1, 1, 1, 1}, {65, 129, 7}};

TEST_P(Columns, AreSplitInOrder) {
  const Case c{"split", {real({2, 3}, {1, 2, 3, 4, 5, 6})}, {value("size0", 1), value("size1", 2)}};
  const std::vector<Array> got = run(device(), c);
  ASSERT_EQ(got.size(), 2u);
  expect_values(got[0], {1, 4});
  expect_values(got[1], {2, 3, 5, 6});
}
CALM_COVERS(Columns, AreSplitInOrder, kHand, "split");

TEST_P(Columns, AreJoinedInOrder) {
  const Case c{"concat", {real({2, 1}, {1, 4}), real({2, 2}, {2, 3, 5, 6})}};
  expect_values(run(device(), c)[0], {1, 2, 3, 4, 5, 6});
}
CALM_COVERS(Columns, AreJoinedInOrder, kHand, "concat");

TEST_P(Columns, AgreeWithTheOracle) {
  for (const std::vector<std::int64_t> &sizes : kWidths) {
    for (const std::int64_t rows : {1, 7, 64, 129}) {
      expect_oracle(device(), split(rows, sizes), oracle::split);
      expect_oracle(device(), concat(rows, sizes), oracle::concat);
    }
  }
}
CALM_COVERS(Columns, AgreeWithTheOracle, kOracle, "split", "concat");

TEST_P(Columns, FillIgnoresWhatItIsLike) {
  for (const Shape &shape : {Shape{}, Shape{1}, Shape{63}, Shape{5, 129}}) {
    expect_oracle(device(), {"fill", {draw(1, shape)}, {value("value", 0.0)}}, oracle::fill);
    expect_oracle(device(), {"fill", {draw(1, shape)}, {value("value", -1.1)}}, oracle::fill);
  }
}
CALM_COVERS(Columns, FillIgnoresWhatItIsLike, kHand, "fill");
CALM_COVERS(Columns, FillIgnoresWhatItIsLike, kOracle, "fill");

TEST_P(ColumnsGradient, AgreesWithFiniteDifferences) {
  expect_gradient(device(), split(5, {3, 1, 4}), oracle::split, {0}, {0, 1, 2});
  expect_gradient(device(), concat(5, {3, 1, 4}), oracle::concat, {0, 1, 2});
  expect_gradient(device(), concat(5, {3, 1, 4}), oracle::concat, {1});
}
CALM_COVERS(ColumnsGradient, AgreesWithFiniteDifferences, kGradient, "split", "concat");

TEST_P(ColumnsGradient, OfAFillIsNothing) {
  const Array like = draw(1, {5, 3});
  graph::ParamLayout layout;
  graph::Graph graph("fill", {1, 1, 1}, device().real(), layout, operator_lookup());
  calm_param param{};
  param.size = sizeof param;
  param.name = str("like");
  param.type = type_of(like, device().real());
  layout.declare(param);
  layout.freeze();
  const graph::GraphBuilder builder(graph);
  const Builder b = builder.face();
  const Value loss = b.op("sum", {b.op("fill", {graph.param(param)}, {value("value", 3.0)})});
  exercised(Kind::kGradient, "fill", "like");
  EXPECT_FALSE(
      graph::differentiate(graph, loss, graph.input("seed", type_of(real(1), device().real())))[0]);
}
CALM_COVERS(ColumnsGradient, OfAFillIsNothing, kGradient, "fill");

TEST_P(ColumnsGradient, OfAnUnusedPartIsZero) {
  expect_gradient(device(), split(5, {3, 1, 4}), oracle::split, {0}, {1});
  expect_gradient(device(), split(5, {3, 1, 4}), oracle::split, {0}, {0, 2});
}

TEST(ColumnsArguments, AreChecked) {
  const Array x = draw(1, {2, 5});
  expect_refused({"split", {x}, {value("size0", 2), value("size1", 4)}},
                 "size1: expected at most 3 columns, found 4");
  expect_refused({"split", {x}, {value("size0", 2), value("size1", 2)}},
                 "sizes: expected a sum of 5, found 4");
  expect_refused({"split", {x}, {value("size1", 5)}},
                 "size1: expected 0 after a size of 0, found 5");
  expect_refused({"split", {x}}, "sizes: expected a sum of 5, found 0");
  expect_refused({"split", {draw(1, {5})}, {value("size0", 5)}},
                 "x: expected an f32 or f64 tensor of rank 2, found f32[5]");
  expect_refused({"concat", {x, draw(1, {3, 5})}}, "x1: expected f32[2, 5], found f32[3, 5]");
  expect_refused({"concat", {x, draw(1, {2})}},
                 "x1: expected an f32 or f64 tensor of rank 2, found f32[2]");
  expect_refused({"fill", {i32({1})}}, "like: expected an f32 or f64 tensor, found i32[1]");
}
CALM_COVERS(ColumnsArguments, AreChecked, kRefused, "split", "concat", "fill");

}  // namespace
}  // namespace calm::conformance
