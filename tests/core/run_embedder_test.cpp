#include "core/run/embedder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "tests/core/model_fixture.hpp"

namespace calm::run {
namespace {

using model_test::kOdd;
using model_test::tokens;
using Rows = std::vector<std::vector<std::int32_t>>;
using testing::ElementsAre;

// A small model with its weights.
struct Fixture {
  std::unique_ptr<LanguageModel> model;
  Weights weights;

  explicit Fixture(calm_dtype real = CALM_F32)
      : model(model_test::make_model(kOdd, real)), weights(model->layout()) {
    weights.initialise(3);
  }
  std::vector<float> embed(const Rows &rows, Embedder::Options options = {},
                           std::uint32_t threads = 2) const {
    Runtime runtime(model_test::runtime_options(threads));
    const std::unique_ptr<Session> session = runtime.open("reference", CALM_WORKLOAD_TRAIN);
    return Embedder(*session, *model, weights, options).embed(rows);
  }
};

// Vector i of `all`.
std::vector<float> vector_at(const std::vector<float> &all, std::size_t i) {
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(i) * kOdd.d_model;
  return {begin, begin + kOdd.d_model};
}

void expect_near(const std::vector<float> &got, const std::vector<float> &want,
                 const std::string &what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], 1e-5F + 1e-5F * std::abs(want[i])) << what << " element " << i;
  }
}

// Far more than a batch holds, of every kind of length.
Rows mixed_rows() {
  Rows rows;
  for (std::uint32_t i = 0; i < 500; ++i) {
    rows.push_back(tokens((i * 37) % 61, i));  // from empty to longer than l_max = 50
  }
  return rows;
}

TEST(Embedder, TextsBecomeTheirBytesBetweenBosAndEos) {
  EXPECT_THAT(text_tokens("hi\xff", 8), ElementsAre(257, 'h', 'i', 255, 258));
  EXPECT_THAT(text_tokens("", 8), ElementsAre(257, 258));
  EXPECT_THAT(text_tokens("abcdef", 5), ElementsAre(257, 'a', 'b', 'c', 258));
}

TEST(Embedder, NoSequencesGiveNoNumbers) { EXPECT_TRUE(Fixture().embed({}).empty()); }

TEST(Embedder, AnEmptySequenceGivesZeros) {
  const std::vector<float> zeros(static_cast<std::size_t>(kOdd.d_model), 0.0F);
  for (const auto pool : {Embedder::Pool::kMean, Embedder::Pool::kLast}) {
    for (const bool normalize : {true, false}) {
      const Fixture f;
      EXPECT_EQ(f.embed({{}}, {pool, normalize}), zeros);
      EXPECT_EQ(vector_at(f.embed({{5}, {}, {6}}, {pool, normalize}), 1), zeros);
    }
  }
}

TEST(Embedder, OfOneTokenMeanAndLastAreTheSame) {
  const Fixture f;
  EXPECT_EQ(f.embed({{65}}, {Embedder::Pool::kMean, true}),
            f.embed({{65}}, {Embedder::Pool::kLast, true}));
}

TEST(Embedder, NormalizedVectorsHaveLengthOne) {
  const Fixture f;
  const Rows rows = {tokens(1, 1), tokens(20, 2), tokens(50, 3)};
  const std::vector<float> raw = f.embed(rows, {Embedder::Pool::kMean, false});
  const std::vector<float> unit = f.embed(rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::vector<float> scaled = vector_at(raw, i);
    const double norm =
        std::sqrt(std::inner_product(scaled.begin(), scaled.end(), scaled.begin(), 0.0));
    for (float &x : scaled) {
      x = static_cast<float>(static_cast<double>(x) / norm);
    }
    expect_near(vector_at(unit, i), scaled, "row " + std::to_string(i));
  }
}

TEST(Embedder, ALongSequenceCountsByItsLastTokens) {
  const Fixture f;
  const std::vector<std::int32_t> all = tokens(73, 9);
  const std::vector<std::int32_t> end(all.end() - kOdd.l_max, all.end());
  EXPECT_EQ(f.embed({all}), f.embed({end}));
}

TEST(Embedder, TheOrderIsThatOfTheCallWhateverTheBatches) {
  const Fixture f;
  const Rows rows = mixed_rows();
  const std::vector<float> all = f.embed(rows);
  ASSERT_EQ(all.size(), rows.size() * static_cast<std::size_t>(kOdd.d_model));
  for (const std::size_t i : {0U, 1U, 2U, 63U, 64U, 65U, 127U, 250U, 498U, 499U}) {
    expect_near(vector_at(all, i), f.embed({rows[i]}), "row " + std::to_string(i));
  }
}

TEST(Embedder, OneAndManyThreadsGiveTheSameBits) {
  const Fixture f;
  const Rows rows = mixed_rows();
  const std::vector<float> one = f.embed(rows, {}, 1);
  EXPECT_EQ(one, f.embed(rows, {}, 2));
  EXPECT_EQ(one, f.embed(rows, {}, 4));
}

TEST(Embedder, AModelInDoubleGivesTheSameVectors) {
  const Rows rows = {tokens(3, 1), tokens(40, 2)};
  expect_near(Fixture().embed(rows), Fixture(CALM_F64).embed(rows), "f64");
}

TEST(Embedder, AnUnknownTokenIsRefused) {
  const Fixture f;
  for (const std::int32_t id : {-1, 320}) {
    try {
      f.embed({{1}, {2, id}});
      FAIL() << "expected an error";
    } catch (const Error &e) {
      EXPECT_EQ(e.status(), CALM_INVALID_ARGUMENT);
      EXPECT_THAT(e.what(), testing::HasSubstr("token ids 0 to 319, found " + std::to_string(id)));
    }
  }
}

TEST(Embedder, AModelThatGivesNothingFiniteIsNamed) {
  Fixture f;
  f.weights.of(0)[65 * static_cast<std::size_t>(kOdd.d_model)] = NAN;
  try {
    f.embed({{65}});
    FAIL() << "expected an error";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_DIVERGED);
    EXPECT_THAT(e.what(), testing::HasSubstr("not finite"));
  }
}

}  // namespace
}  // namespace calm::run
