#include "core/search/scan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/search/ranking.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/search_fixture.hpp"

namespace calm::search {
namespace {

using testing::ElementsAre;

// Unit vectors from a fixed congruence.
std::vector<float> directions(std::size_t count, std::size_t dimension, std::uint32_t seed) {
  std::vector<float> rows(count * dimension);
  for (std::size_t i = 0; i < count; ++i) {
    double square = 0;
    for (std::size_t j = 0; j < dimension; ++j) {
      seed = seed * 1664525U + 1013904223U;
      rows[i * dimension + j] = static_cast<float>(static_cast<double>(seed >> 8) / (1 << 23) - 1);
      square += std::pow(static_cast<double>(rows[i * dimension + j]), 2);
    }
    for (std::size_t j = 0; j < dimension; ++j) {
      rows[i * dimension + j] /= static_cast<float>(std::sqrt(square));
    }
  }
  return rows;
}

// An index of `count` passages with these vectors.
void fill(const std::string &path, std::size_t dimension, const std::vector<float> &rows) {
  Index index(path, Database::Access::kCreate);
  ModelInfo model = search_test::model_info();
  model.dimension = static_cast<std::int64_t>(dimension);
  index.set_model(model);
  const std::vector<Passage> passages(rows.size() / dimension, Passage{"", "", "text", {}});
  index.add({"/a", "a", "text", 0, 0, std::string(64, '0')}, passages, rows);
  index.commit();
}

// All products in double, best first.
std::vector<Hit> brute_force(const std::vector<float> &rows, const float *query,
                             std::size_t dimension) {
  std::vector<Hit> hits;
  for (std::size_t i = 0; i * dimension < rows.size(); ++i) {
    double score = 0;
    for (std::size_t j = 0; j < dimension; ++j) {
      score += static_cast<double>(rows[i * dimension + j]) * static_cast<double>(query[j]);
    }
    hits.push_back({static_cast<std::int64_t>(i) + 1, score});
  }
  std::sort(hits.begin(), hits.end(), better);
  return hits;
}

class Scan : public testing::Test {
 protected:
  VectorScan scan(std::size_t dimension) {
    return {*session_, model_test::runtime().operators(), static_cast<std::int64_t>(dimension)};
  }
  std::unique_ptr<run::Session> session_ = model_test::reference();
  calm_test::TempFolder folder_;
};

// Sizes below, at and above a block of passages, and a block of queries.
TEST_F(Scan, FindsWhatBruteForceInDoubleFinds) {
  constexpr double kRounding = 1e-6;
  struct Case {
    std::size_t passages, dimension, queries;
  };
  for (const Case &c :
       {Case{1, 3, 1}, Case{50, 32, 2}, Case{4096, 8, 1}, Case{4097, 7, 65}, Case{9000, 64, 3}}) {
    SCOPED_TRACE(c.passages);
    const std::string path = folder_.path(std::to_string(c.passages));
    const std::vector<float> rows = directions(c.passages, c.dimension, 1);
    const std::vector<float> queries = directions(c.queries, c.dimension, 2);
    fill(path, c.dimension, rows);
    const Index index(path, Database::Access::kRead);
    constexpr std::size_t kLimit = 10;
    VectorScan program = scan(c.dimension);
    const std::vector<std::vector<Hit>> found = program.search(index, queries, kLimit);
    ASSERT_EQ(found.size(), c.queries);
    for (std::size_t q = 0; q < c.queries; ++q) {
      const std::vector<Hit> expected = brute_force(rows, &queries[q * c.dimension], c.dimension);
      ASSERT_EQ(found[q].size(), std::min(kLimit, c.passages));
      std::set<std::int64_t> once;
      for (std::size_t i = 0; i < found[q].size(); ++i) {
        // Neighbours closer than the rounding of a float may change places.
        EXPECT_NEAR(found[q][i].score, expected[i].score, kRounding);
        once.insert(found[q][i].passage);
      }
      EXPECT_EQ(once.size(), found[q].size());
    }
  }
}

TEST_F(Scan, BreaksTiesByPassageAcrossBlocks) {
  const std::string path = folder_.path("ties");
  std::vector<float> rows;
  for (int i = 0; i < 5000; ++i) {
    rows.insert(rows.end(), {i % 2 == 0 ? 1.0F : 0.0F, i % 2 == 0 ? 0.0F : 1.0F});
  }
  fill(path, 2, rows);
  const Index index(path, Database::Access::kRead);
  VectorScan program = scan(2);
  std::vector<std::int64_t> ids;
  const std::vector<std::vector<Hit>> found = program.search(index, std::vector<float>{0, 1}, 4);
  for (const Hit &hit : found.at(0)) {
    ids.push_back(hit.passage);
  }
  EXPECT_THAT(ids, ElementsAre(2, 4, 6, 8));
}

TEST_F(Scan, AnEmptyIndexHasNoAnswers) {
  fill(folder_.path("none"), 2, {});
  const Index index(folder_.path("none"), Database::Access::kRead);
  VectorScan program = scan(2);
  EXPECT_TRUE(program.search(index, std::vector<float>{0, 1}, 4)[0].empty());
}

TEST_F(Scan, APassageWithoutAVectorIsAnError) {
  const search_test::SmallIndex small;
  {
    Index index = small.change();
    index.remove_vectors();
    index.add_vectors(std::vector<std::int64_t>{1, 2}, std::vector<float>{1, 0, 0, 0, 0, 1, 0, 0});
    index.commit();
  }
  VectorScan program = scan(4);
  const Index index = small.open();
  try {
    program.search(index, std::vector<float>{1, 0, 0, 0}, 1);
    ADD_FAILURE() << "it was searched";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_CORRUPT_DATA);
  }
}

TEST(Best, KeepsTheBestInOrderWhateverOrderTheyComeIn) {
  for (const bool backwards : {false, true}) {
    Best best(3);
    for (int i = 0; i < 10; ++i) {
      const int id = backwards ? 9 - i : i;
      best.offer({id, id / 2 * 1.0});  // pairs of equal scores
    }
    std::vector<std::int64_t> ids;
    for (const Hit &hit : best.take()) {
      ids.push_back(hit.passage);
    }
    EXPECT_THAT(ids, ElementsAre(8, 9, 6));
  }
}

TEST(Fuse, AddsReciprocalRanks) {
  const std::vector<Hit> bm25 = {{1, 9.0}, {2, 8.0}, {3, 7.0}};
  const std::vector<Hit> vector = {{3, 0.9}, {4, 0.8}};
  const std::vector<Result> fused = fuse(bm25, vector, 10);
  ASSERT_EQ(fused.size(), 4u);
  EXPECT_EQ(fused[0].passage, 3);
  EXPECT_DOUBLE_EQ(fused[0].score, 1.0 / 63 + 1.0 / 61);
  EXPECT_EQ(fused[0].bm25, 7.0);
  EXPECT_EQ(fused[0].vector, 0.9);
  EXPECT_EQ(fused[1].passage, 1);
  EXPECT_FALSE(fused[1].vector);
  // Both second in one list: the lower number first.
  EXPECT_EQ(fused[2].passage, 2);
  EXPECT_EQ(fused[3].passage, 4);
  EXPECT_EQ(fuse(bm25, vector, 2).size(), 2u);
}

}  // namespace
}  // namespace calm::search
