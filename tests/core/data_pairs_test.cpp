#include "core/data/pairs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <calm/cpp/error.hpp>
#include <string>

namespace calm::data {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kPassage = "twenty letters or so";  // exactly the shortest

PairFile parse(const std::string &text) { return parse_pairs(text, "pairs.txt"); }

TEST(Pairs, LengthsAreCountedInCodePoints) {
  EXPECT_EQ(parse("<QUERY>abcde\n<REF>" + kPassage).pairs.size(), 1u);
  EXPECT_EQ(parse("<QUERY>abcd\n<REF>" + kPassage).too_short, 1u);
  EXPECT_EQ(parse("<QUERY>abcde\n<REF>" + kPassage.substr(1)).too_short, 1u);
  EXPECT_EQ(parse("<QUERY>\xd0\xb4\xd0\xbe\xd0\xbc\xd0\xb4\n<REF>" + kPassage).too_short, 1u);
}

TEST(Pairs, IncompletePairsAreNoPairs) {
  const PairFile file = parse("<QUERY>a query alone\n\n<REF>" + kPassage + "\n\n\ntext\n");
  EXPECT_THAT(file.pairs, IsEmpty());
  EXPECT_EQ(file.too_short, 0u);
  EXPECT_THAT(parse("").pairs, IsEmpty());
}

TEST(Pairs, ReturnsEndLinesLikeFeeds) {
  for (const std::string end : {"\n", "\r\n", "\r"}) {
    std::string text;
    for (const std::string &line : {std::string("<QUERY>a query"), std::string("<ATN>"),
                                    "<REF>" + kPassage, std::string(" more "), std::string()}) {
      text.append(line).append(end);
    }
    const PairFile file = parse(text);
    ASSERT_EQ(file.pairs.size(), 1u);
    EXPECT_EQ(file.pairs[0].query, "a query");
    EXPECT_EQ(file.pairs[0].passage, kPassage + "\n more ");
  }
}

TEST(Pairs, APassageMayStandBeforeItsQuery) {
  const PairFile file = parse("<REF>" + kPassage + "\n<QUERY>a query\nignored\n");
  ASSERT_EQ(file.pairs.size(), 1u);
  EXPECT_EQ(file.pairs[0].passage, kPassage);
  EXPECT_THAT(file.replaced_queries, IsEmpty());
}

TEST(Pairs, AQueryWithoutAnEmptyLineBeforeItTakesThePlaceOfAnother) {
  const PairFile file = parse("<QUERY>first\n<REF>" + kPassage + "\n<QUERY>second\n\n<QUERY>third");
  ASSERT_EQ(file.pairs.size(), 1u);
  EXPECT_EQ(file.pairs[0].query, "second");
  EXPECT_THAT(file.replaced_queries, ElementsAre(3u));
}

TEST(Pairs, TextThatIsNotUtf8IsRefusedWithItsPlace) {
  try {
    parse("<QUERY>a\xff");
    FAIL() << "accepted";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_CORRUPT_DATA);
    EXPECT_STREQ(e.what(), "pairs.txt: offset 8: expected UTF-8, found byte 0xff");
  }
}

TEST(Pairs, LongTextsEndWithEosAtTheLimit) {
  EXPECT_THAT(encode_pair_text("ab", 768), ElementsAre(257, 'a', 'b', 258));
  EXPECT_THAT(encode_pair_text("ab", 4), ElementsAre(257, 'a', 'b', 258));
  EXPECT_THAT(encode_pair_text("ab", 3), ElementsAre(257, 'a', 258));
  EXPECT_THAT(encode_pair_text("ab", 2), ElementsAre(257, 258));
  EXPECT_THAT(encode_pair_text("", 2), ElementsAre(257, 258));
}

}  // namespace
}  // namespace calm::data
