#include "core/data/batch.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/text/tokenizer.hpp"
#include "tests/core/model_fixture.hpp"

namespace calm::data {
namespace {

using model_test::make_dataset;
using Ints = std::vector<std::int32_t>;

constexpr std::int32_t kPad = text::kPad;

// The first `n` values: what lies before the dead rows.
Ints live(const Ints &values, std::int64_t n) { return {values.begin(), values.begin() + n}; }

Batch pack_all(const Dataset &dataset, std::int64_t sequences, std::int64_t l_max,
               bool use_cmd = true) {
  return pack(dataset, model_test::all_of(dataset), sequences, l_max, use_cmd);
}

TEST(Pack, TargetsAreTheNextTokensOfEachSequence) {
  const Batch batch = pack_all(make_dataset({{1, 2, 3}, {4, 5}}), 2, 10);
  EXPECT_EQ(batch.rows, 3);
  EXPECT_EQ(live(batch.tokens, 3), (Ints{1, 2, 4}));
  EXPECT_EQ(live(batch.targets, 3), (Ints{2, 3, 5}));
  EXPECT_EQ(batch.offsets, (Ints{0, 2, 3}));
  EXPECT_EQ(batch.counted, 3);
}

TEST(Pack, DeadRowsFillTheBucketWithPadsThatDoNotCount) {
  const Batch batch = pack_all(make_dataset({{1, 2, 3}}), 1, 10);
  ASSERT_EQ(batch.tokens.size(), 64u);
  ASSERT_EQ(batch.targets.size(), 64u);
  for (std::size_t i = 2; i < 64; ++i) {
    EXPECT_EQ(batch.tokens[i], kPad);
    EXPECT_EQ(batch.targets[i], -1);
  }
}

TEST(Pack, TheFirstCountedTargetIsTheOneAfterTheAnswerMark) {
  const Dataset dataset = make_dataset({{257, 65, 259, 66, 258}, {1, 2, 3}}, {2, 0});
  const Batch batch = pack_all(dataset, 2, 10);
  EXPECT_EQ(live(batch.targets, 6), (Ints{-1, -1, 66, 258, 2, 3}));
  EXPECT_EQ(batch.counted, 4);
  const Batch without = pack_all(dataset, 2, 10, false);
  EXPECT_EQ(live(without.targets, 6), (Ints{65, 259, 66, 258, 2, 3}));
  EXPECT_EQ(without.counted, 6);
}

TEST(Pack, PadsNeverCountWhereverTheyStand) {
  const Batch batch = pack_all(make_dataset({{1, kPad, 2, kPad, kPad}}), 1, 10);
  EXPECT_EQ(live(batch.tokens, 4), (Ints{1, kPad, 2, kPad}));
  EXPECT_EQ(live(batch.targets, 4), (Ints{-1, 2, -1, -1}));
  EXPECT_EQ(batch.counted, 1);
}

TEST(Pack, ASequenceGivesAtMostItsLastTokensThatFit) {
  Ints ids(12);
  std::iota(ids.begin(), ids.end(), 0);
  const Batch whole = pack_all(make_dataset({ids}), 1, 11);  // l_max + 1 tokens are legal
  EXPECT_EQ(whole.rows, 11);
  EXPECT_EQ(whole.tokens[0], 0);
  const Batch cut = pack_all(make_dataset({ids}, {3}), 1, 9);  // the last 10
  EXPECT_EQ(cut.rows, 9);
  EXPECT_EQ(live(cut.tokens, 9), (Ints{2, 3, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(live(cut.targets, 9), (Ints{-1, 4, 5, 6, 7, 8, 9, 10, 11}));  // position 3 is now 1
  EXPECT_EQ(pack_all(make_dataset({ids}, {1}), 1, 9).counted, 9);
}

TEST(Pack, MissingAndShortSequencesAreEmpty) {
  const Batch batch = pack_all(make_dataset({{1}, {}, {7, 8}}), 5, 10);
  EXPECT_EQ(batch.rows, 1);
  EXPECT_EQ(batch.offsets, (Ints{0, 0, 0, 1, 1, 1}));
  const Batch nothing = pack_all(make_dataset({{1}}), 2, 10);
  EXPECT_EQ(nothing.rows, 0);
  EXPECT_EQ(nothing.counted, 0);
  EXPECT_EQ(nothing.tokens.size(), 64u);
}

TEST(Pack, InputsAreAllTokensOfTheLastColumns) {
  const Dataset dataset = make_dataset({{1, 2, 3, 4, 5}, {6}});
  const Batch batch = pack_inputs(dataset, model_test::all_of(dataset), 3, 4);
  EXPECT_EQ(live(batch.tokens, 5), (Ints{2, 3, 4, 5, 6}));
  EXPECT_EQ(batch.offsets, (Ints{0, 4, 5, 5}));
  EXPECT_EQ(batch.counted, 0);
  EXPECT_TRUE(std::all_of(batch.targets.begin(), batch.targets.end(),
                          [](std::int32_t t) { return t == -1; }));
}

TEST(Samples, AreSequencesOfFourToLmaxTokens) {
  const Dataset dataset =
      make_dataset({{1, 2, 3}, {1, 2, 3, 4}, {}, {1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6, 7}});
  EXPECT_EQ(usable_sequences(dataset, 6), (std::vector<std::uint32_t>{1, 3}));
}

TEST(Shuffle, IsAPermutationOfSeedAndEpochAlone) {
  const std::vector<std::uint32_t> order = shuffled(1000, 7, 3);
  std::vector<std::uint32_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (std::uint32_t i = 0; i < 1000; ++i) {
    ASSERT_EQ(sorted[i], i);
  }
  EXPECT_EQ(order, shuffled(1000, 7, 3));
  EXPECT_NE(order, shuffled(1000, 7, 4));
  EXPECT_NE(order, shuffled(1000, 8, 3));
  EXPECT_NE(order, shuffled(1000, 7ull << 32, 3));
  EXPECT_TRUE(shuffled(0, 7, 3).empty());
  EXPECT_EQ(shuffled(1, 7, 3), (std::vector<std::uint32_t>{0}));
}

// Chi-squared of where the first sample lands, 99 degrees of freedom: below 150 but for one seed in
// a thousand.
TEST(Shuffle, SpreadsASampleOverAllPlaces) {
  std::vector<double> counts(100, 0);
  constexpr std::uint32_t kEpochs = 20000;
  for (std::uint32_t epoch = 0; epoch < kEpochs; ++epoch) {
    const std::vector<std::uint32_t> order = shuffled(100, 1, epoch);
    const auto at = std::find(order.begin(), order.end(), 0u) - order.begin();
    counts[static_cast<std::size_t>(at)] += 1;
  }
  double chi = 0;
  for (const double count : counts) {
    chi += (count - kEpochs / 100.0) * (count - kEpochs / 100.0) / (kEpochs / 100.0);
  }
  EXPECT_LT(chi, 150);
}

}  // namespace
}  // namespace calm::data
