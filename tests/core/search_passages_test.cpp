#include "core/search/passages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/text/utf8.hpp"

namespace calm::search {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> texts(const std::vector<Passage> &passages) {
  std::vector<std::string> out;
  for (const Passage &passage : passages) {
    out.push_back(passage.section + "|" + passage.text);
  }
  return out;
}

std::string without_blanks(const std::string &text) {
  std::string out;
  std::copy_if(text.begin(), text.end(), std::back_inserter(out),
               [](char c) { return c != ' ' && c != '\n' && c != '\t'; });
  return out;
}

TEST(CutText, PutsShortParagraphsOfASectionTogetherAndNotAcrossHeadings) {
  EXPECT_THAT(texts(cut_text("one\ntwo\n\nthree\n\n# Second part\nfour\n\nfive\n")),
              ElementsAre("|one\ntwo\n\nthree", "Second part|four\n\nfive"));
}

TEST(CutText, KnowsHeadingsByHashNumberCapitalsAndUnderline) {
  EXPECT_THAT(texts(cut_text("## A b\n\nx\n\n3.1.  Terms used\n\ny\n\nSEE ALSO\n\nz\n\nTitle\n"
                             "=====\n\nv\n\nOther\n---\nw")),
              ElementsAre("A b|x", "3.1.  Terms used|y", "SEE ALSO|z", "Title|v", "Other|w"));
}

TEST(CutText, TakesNoSentenceListOrIndentedLineForAHeading) {
  const std::string text =
      "1. Open the box.\n\n3.1 Terms ........ 7\n\n   INDENTED\n\nAB\n\n#include <x>";
  EXPECT_THAT(texts(cut_text(text)), ElementsAre("|" + text));
}

TEST(CutText, ATextOfHeadingsAloneIsStillFound) {
  EXPECT_THAT(texts(cut_text("CONTENTS\n\nMORE OF IT\n")), ElementsAre("|CONTENTS\n\nMORE OF IT"));
}

TEST(CutText, NothingComesOfNothing) {
  EXPECT_THAT(cut_text(""), IsEmpty());
  EXPECT_THAT(cut_text(" \n\t\r\n\f\n"), IsEmpty());
}

TEST(CutText, SpansAreTheBytesOfTheText) {
  const std::string text = "\r\n  first line\r\nsecond\r\n\r\n# H\r\n\r\n\tthird  \r\n";
  const std::vector<Passage> passages = cut_text(text);
  ASSERT_EQ(passages.size(), 2u);
  for (const Passage &passage : passages) {
    ASSERT_TRUE(passage.span);
    EXPECT_EQ(text.substr(passage.span->begin, passage.span->end - passage.span->begin),
              passage.text);
  }
  EXPECT_EQ(passages[0].text, "first line\r\nsecond");
  EXPECT_EQ(passages[1].text, "third");
}

TEST(CutText, CutsLongParagraphsAfterASentence) {
  std::string text;
  for (int i = 0; i < 100; ++i) {
    text += "This is sentence number " + std::to_string(i) + ". ";
  }
  const std::vector<Passage> passages = cut_text(text);
  ASSERT_GT(passages.size(), 3u);
  for (const Passage &passage : passages) {
    EXPECT_EQ(passage.text.substr(0, 5), "This ");
    EXPECT_EQ(passage.text.back(), '.');
  }
}

TEST(CutText, CutsWithoutSentencesAtABlankAndWithoutBlanksBetweenCharacters) {
  std::string words, letters;
  for (int i = 0; i < 400; ++i) {
    words += "word ";
    letters += "\xc3\xa4\xe2\x82\xac";  // two and three bytes: 700 is inside one
  }
  for (const Passage &passage : cut_text(words)) {
    EXPECT_EQ(passage.text.substr(passage.text.size() - 4), "word");
  }
  for (const Passage &passage : cut_text(letters)) {
    EXPECT_FALSE(text::find_invalid_utf8(passage.text)) << passage.text;
  }
}

TEST(CutText, NoPassageIsTooLongAndNoLetterIsLost) {
  std::uint32_t seed = 7;
  for (std::size_t round = 0; round < 200; ++round) {
    std::string text;
    const std::size_t size = round * 37;
    while (text.size() < size) {
      seed = seed * 1664525U + 1013904223U;
      const std::uint32_t draw = (seed >> 20) % 32;
      text += draw == 0 ? std::string("\n\n") : draw < 5 ? " " : draw == 5 ? ". " : "a";
    }
    std::string found;
    std::size_t last = 0;
    for (const Passage &passage : cut_text(text)) {
      EXPECT_LE(passage.text.size(), kLongestPassage);
      EXPECT_GE(passage.span->begin, last);
      last = passage.span->end;
      found += passage.text;
    }
    EXPECT_EQ(without_blanks(found), without_blanks(text));
  }
}

TEST(CutSection, KeepsItsSectionAndHasNoSpans) {
  std::vector<Passage> passages;
  cut_section("tar: OPTIONS", "UPPER CASE\n\n" + std::string(1000, 'x'), passages);
  ASSERT_EQ(passages.size(), 3u);
  for (const Passage &passage : passages) {
    EXPECT_EQ(passage.section, "tar: OPTIONS");
    EXPECT_FALSE(passage.span);
  }
  EXPECT_EQ(passages[0].text, "UPPER CASE");
}

}  // namespace
}  // namespace calm::search
