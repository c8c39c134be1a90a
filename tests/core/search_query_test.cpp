#include "core/search/query.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/text/utf8.hpp"
#include "tests/core/search_fixture.hpp"

namespace calm::search {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(WordsOf, SplitsAtBlanksAndControlsAndKeepsEachOnce) {
  EXPECT_THAT(words_of("  a b\ta\n\x01 c "), ElementsAre("a", "b", "c"));
  EXPECT_THAT(words_of(" \n\t"), IsEmpty());
  std::string many;
  for (int i = 0; i < 1000; ++i) {
    many += " w" + std::to_string(i);
  }
  EXPECT_EQ(words_of(many).size(), kMostWords);
}

TEST(FullTextQuery, QuotesWhatWouldBeAnOperator) {
  EXPECT_EQ(full_text_query("a AND b*"), "\"a\" OR \"AND\" OR \"b*\"");
  EXPECT_EQ(full_text_query("say \"hi"), "\"say\" OR \"\"\"hi\"");
  EXPECT_EQ(full_text_query(""), "");
}

TEST(FullTextQuery, WhateverIsTypedIsNoError) {
  const search_test::SmallIndex small;
  const Index index = small.open();
  const std::string nul("nul\0byte", 8);
  for (const std::string &query :
       {std::string("\"foo AND"), std::string("*"), std::string("\""), std::string("\"\"\""),
        std::string("NEAR(a b, 2"), std::string("text: x"), std::string("-x +y ^z"),
        std::string("{heading} : a"), std::string("a OR OR"), std::string("("), std::string(")"),
        std::string("'; DROP TABLE passages; --"), std::string("\xff\xfe"), std::string("\xe2\x82"),
        nul, std::string(5000, '"'), std::string(100000, 'a')}) {
    EXPECT_NO_THROW(index.match(full_text_query(query), 10)) << query.substr(0, 40);
  }
}

TEST(FullTextQuery, FindsAnyOfTheWordsWhateverStandsAroundThem) {
  const search_test::SmallIndex small;
  const Index index = small.open();
  EXPECT_EQ(index.match(full_text_query("\"apple AND"), 10).size(), 1u);
  EXPECT_EQ(index.match(full_text_query("apple* pears"), 10).size(), 2u);
  EXPECT_THAT(index.match(full_text_query("quince"), 10), IsEmpty());
}

TEST(Snippet, ShowsWhereTheFirstWordIsOnOneLine) {
  std::string text;
  for (int i = 0; i < 100; ++i) {
    text += "filler\n\twords ";
  }
  text += "the NEEDLE here ";
  text += text;
  const std::string shown = snippet(text, "needle", 80);
  EXPECT_THAT(shown, testing::HasSubstr("NEEDLE"));
  EXPECT_EQ(shown.find_first_of("\n\t"), std::string::npos);
  EXPECT_LE(shown.size(), 86u);
  EXPECT_EQ(snippet("short\ntext", "x", 80), "short text");
}

TEST(Snippet, CutsBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 100; ++i) {
    text += "\xe2\x82\xac\xc3\xa4";
  }
  for (std::size_t width = 10; width < 40; ++width) {
    EXPECT_FALSE(text::find_invalid_utf8(snippet(text, "\xc3\xa4", width)));
    EXPECT_FALSE(text::find_invalid_utf8(snippet(text, "q", width)));
  }
}

}  // namespace
}  // namespace calm::search
