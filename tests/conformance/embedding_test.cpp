#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/rows.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(Embedding);
CALM_ON_EVERY_F64_BACKEND(EmbeddingGradient);

Array ids(std::int64_t rows, std::int64_t table) {
  Array out = i32(std::vector<double>(static_cast<std::size_t>(rows)));
  for (std::size_t t = 0; t < out.values.size(); ++t) {
    out.values[t] = static_cast<double>((t * t + 3 * t) % static_cast<std::size_t>(table));
  }
  return out;
}

TEST_P(Embedding, PicksRowsOfTheTable) {
  const Case c{"embedding", {i32({2, 0, 2}), real({3, 2}, {1, 2, 3, 4, 5, 6})}};
  expect_values(run(device(), c)[0], {5, 6, 1, 2, 5, 6});
}
CALM_COVERS(Embedding, PicksRowsOfTheTable, kHand, "embedding");

TEST_P(Embedding, AddsUpTheGradientsOfEqualIds) {
  const Case c{
      "embedding_grad", {i32({2, 0, 2}), real({3, 2}, {1, 2, 3, 4, 5, 6})}, {value("rows", 4)}};
  expect_values(run(device(), c)[0], {3, 4, 0, 0, 6, 8, 0, 0});
}
CALM_COVERS(Embedding, AddsUpTheGradientsOfEqualIds, kHand, "embedding_grad");

TEST_P(Embedding, AgreesWithTheOracle) {
  for (const auto &[rows, table, width] : std::vector<std::array<std::int64_t, 3>>{
           {1, 1, 1}, {2, 3, 5}, {7, 1, 17}, {63, 320, 3}, {64, 5, 64}, {129, 320, 65}}) {
    expect_oracle(device(), {"embedding", {ids(rows, table), draw(1, {table, width})}},
                  oracle::embedding);
    expect_oracle(
        device(),
        {"embedding_grad", {ids(rows, table), draw(2, {rows, width})}, {value("rows", table)}},
        oracle::embedding_grad);
  }
}
CALM_COVERS(Embedding, AgreesWithTheOracle, kOracle, "embedding", "embedding_grad");

TEST_P(EmbeddingGradient, AgreesWithFiniteDifferences) {
  expect_gradient(device(), {"embedding", {ids(17, 5), draw(1, {5, 3})}}, oracle::embedding, {1});
}
CALM_COVERS(EmbeddingGradient, AgreesWithFiniteDifferences, kGradient, "embedding");

TEST(EmbeddingArguments, AreChecked) {
  const Array table = draw(1, {5, 3});
  expect_refused({"embedding", {real({2}, {0, 0}), table}},
                 "ids: expected i32 [rows], found f32[2]");
  expect_refused({"embedding", {absent(), table}}, "ids: expected i32 [rows], found nothing");
  expect_refused({"embedding", {i32({1}), i32({1})}},
                 "table: expected an f32 or f64 tensor of rank 2, found i32[1]");
  const Array grad = draw(1, {2, 3});
  expect_refused({"embedding_grad", {i32({1}), grad}, {value("rows", 4)}},
                 "ids: expected i32[2], found i32[1]");
  expect_refused({"embedding_grad", {i32({1, 2}), i32({1})}, {value("rows", 4)}},
                 "grad: expected an f32 or f64 tensor of rank 2, found i32[1]");
  expect_refused({"embedding_grad", {i32({1, 2}), grad}}, "attribute rows is missing");
}
CALM_COVERS(EmbeddingArguments, AreChecked, kRefused, "embedding", "embedding_grad");

}  // namespace
}  // namespace calm::conformance
