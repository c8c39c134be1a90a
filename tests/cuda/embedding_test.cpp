// The gradient of an embedding, bit by bit: its sums have one order (kernels/embedding.cu).
#include <gtest/gtest.h>

#include <calm/ops/embedding.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "tests/cuda/node.hpp"

namespace calm::cuda {
void embedding_grad(const Launch &launch);
}  // namespace calm::cuda

namespace calm::cuda_test {
namespace {

constexpr std::size_t kStretch = 256;

/// Every eighth of `x`, then these in order.
template <class T>
T sum_of(const std::vector<T> &x) {
  T eighths[8] = {};
  for (std::size_t i = 0; i < x.size(); ++i) {
    eighths[i % 8] += x[i];
  }
  T sum = 0;
  for (const T eighth : eighths) {
    sum += eighth;
  }
  return sum;
}

float expected(const std::vector<std::int32_t> &ids, const std::vector<float> &grad, std::size_t d,
               std::size_t id, std::size_t column) {
  std::vector<double> stretches;
  for (std::size_t first = 0; first < ids.size(); first += kStretch) {
    std::vector<float> found;
    for (std::size_t t = first; t < std::min(ids.size(), first + kStretch); ++t) {
      if (ids[t] == static_cast<std::int32_t>(id)) {
        found.push_back(grad[t * d + column]);
      }
    }
    stretches.push_back(static_cast<double>(sum_of(found)));
  }
  return static_cast<float>(sum_of(stretches));
}

/// Ids as text has them: some very often, most seldom, one in every row of a stretch, some outside
/// the table.
void check(std::size_t rows, std::size_t d, std::size_t vocab) {
  SCOPED_TRACE(testing::Message() << rows << " rows of " << d << ", " << vocab << " ids");
  std::mt19937 random(static_cast<unsigned>(rows + d));
  std::vector<std::int32_t> ids(rows);
  for (std::size_t t = 0; t < rows; ++t) {
    const auto any = static_cast<std::int32_t>(random() % (vocab + 2)) - 1;  // -1, vocab: outside
    ids[t] = t / kStretch == 1 ? 0 : random() % 3 == 0 ? 1 : any;
  }
  std::vector<float> grad(rows * d);
  std::normal_distribution<float> normal;
  for (float &x : grad) {
    x = normal(random);
  }
  Operands o(CALM_OP_EMBEDDING_GRAD);
  const auto n = [](std::size_t x) { return static_cast<std::int64_t>(x); };
  o.in(ids, {n(rows)}).in(grad, {n(rows), n(d)}).i64(n(vocab));
  const float *const out = o.out<float>({n(vocab), n(d)});
  o.run(cuda::embedding_grad);
  for (std::size_t i = 0; i < vocab * d; ++i) {
    ASSERT_EQ(out[i], expected(ids, grad, d, i / d, i % d)) << "id " << i / d << ", " << i % d;
  }
}

TEST(EmbeddingGrad, AddsUpInItsOrder) {
  check(1, 1, 1);
  check(255, 64, 5);
  check(300, 3, 7);
  check(513, 65, 4);
  check(2048, 130, 3);
}

TEST(EmbeddingGrad, GoesRoundWhereThereAreMoreStretchesThanWarps) { check(9000, 40, 6); }

TEST(EmbeddingGrad, OfNoRowsIsZero) { check(0, 5, 2); }

}  // namespace
}  // namespace calm::cuda_test
