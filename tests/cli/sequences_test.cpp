#include "frontends/cli/sequences.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace calm::cli {
namespace {

using Tokens = std::vector<std::uint16_t>;

data::Dataset dataset_of(const std::vector<Tokens> &sequences,
                         const std::vector<std::uint16_t> &cmd_pos) {
  data::Dataset dataset;
  dataset.offsets.push_back(0);
  for (const Tokens &tokens : sequences) {
    dataset.tokens.insert(dataset.tokens.end(), tokens.begin(), tokens.end());
    dataset.offsets.push_back(dataset.tokens.size());
  }
  dataset.cmd_pos = cmd_pos;
  return dataset;
}

TEST(Sequences, BytesAreTextAndSpecialTokensAreNamed) {
  EXPECT_EQ(render_tokens(Tokens{257, 'c', 0xc3, 0xa6, 't', 258}), "<BOS>c\u00e6t<EOS>");
  EXPECT_EQ(render_tokens(Tokens{300}), "<RESERVED_300>");
  EXPECT_EQ(render_tokens(Tokens{}), "");
}

TEST(Sequences, NothingInThemCanMoveTheCursor) {
  EXPECT_EQ(render_tokens(Tokens{0x1b, '[', '2', 'J', '\n', 0xff}), "\\x1b[2J\\x0a\\xff");
}

TEST(Sequences, TargetsBeforeTheCommandAndPadsDoNotCount) {
  const Tokens tokens = {257, 'a', 259, 'b', 256, 'c'};
  EXPECT_EQ(count_targets(tokens, 2).all, 5U);
  EXPECT_EQ(count_targets(tokens, 2).counted, 2U);
  EXPECT_EQ(count_targets(tokens, 0).counted, 4U);
  EXPECT_EQ(count_targets(Tokens{257}, 0).all, 0U);
}

TEST(Sequences, ACharacterCutByASpecialTokenIsAnError) {
  EXPECT_EQ(utf8_errors(Tokens{0xc3, 0xa6, 269, 'x'}), 0U);
  EXPECT_EQ(utf8_errors(Tokens{0xc3, 269, 0xa6}), 2U);
}

TEST(Sequences, StatisticsOfAFile) {
  const Tokens a = {257, 259, 'x', 258};
  const Tokens b = {257, 259, 'x', 'y', 'z', 0xff, 269, 258, 258};
  const DatasetStats s = dataset_stats(dataset_of({a, b, a}, {1, 1, 1}));
  EXPECT_EQ(s.sequences, 3U);
  EXPECT_EQ(s.tokens, 17U);
  EXPECT_EQ(s.shortest, 4U);
  EXPECT_EQ(s.median, 4U);
  EXPECT_EQ(s.longest, 9U);
  EXPECT_EQ(s.duplicates, 1U);
  EXPECT_EQ(s.bad_sequences, 1U);
  EXPECT_EQ(s.targets.all, 14U);
  EXPECT_EQ(s.targets.counted, 11U);
  ASSERT_EQ(s.histogram.size(), 2U);
  EXPECT_EQ(s.histogram[0].from, 4U);
  EXPECT_EQ(s.histogram[0].to, 7U);
  EXPECT_EQ(s.histogram[0].count, 2U);
  EXPECT_EQ(s.histogram[1].count, 1U);
}

TEST(Sequences, AnEmptyFileHasStatisticsToo) {
  const DatasetStats s = dataset_stats(dataset_of({}, {}));
  EXPECT_EQ(s.sequences, 0U);
  EXPECT_TRUE(s.histogram.empty());
}

}  // namespace
}  // namespace calm::cli
