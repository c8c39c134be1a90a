#include "core/text/unicode.hpp"

#include <calm/cpp/error.hpp>

#include "core/text/utf8.hpp"

#include <gtest/gtest.h>

namespace calm::text {
namespace {

const std::string kMark = "\xEF\xBF\xBD";  // U+FFFD

TEST(Utf8, EachMaximalSubpartBecomesOneReplacement) {
  EXPECT_EQ(replace_invalid_utf8("\xC3"), kMark);
  EXPECT_EQ(replace_invalid_utf8("\xE2\x82"), kMark);
  EXPECT_EQ(replace_invalid_utf8("\xE0\x80\x80"), kMark + kMark + kMark);
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80"), kMark + kMark + kMark);
  EXPECT_EQ(replace_invalid_utf8("\xF4\x90\x80\x80"), kMark + kMark + kMark + kMark);
  EXPECT_EQ(replace_invalid_utf8("\xF0\x9F\x41"), kMark + "A");
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF\xFF"), kMark + kMark + kMark);
}

TEST(Utf8, TheEdgesOfEveryLengthSurviveARoundTrip) {
  for (const char32_t value :
       {0x0U, 0x7FU, 0x80U, 0x7FFU, 0x800U, 0xD7FFU, 0xE000U, 0xFFFFU, 0x10000U, 0x10FFFFU}) {
    std::string bytes;
    append_utf8(bytes, value);
    const CodePoint point = next_code_point(bytes, 0);
    EXPECT_TRUE(point.valid);
    EXPECT_EQ(point.value, value);
    EXPECT_EQ(point.size, bytes.size());
    EXPECT_EQ(replace_invalid_utf8(bytes), bytes);
  }
}

TEST(Utf8, TheFirstInvalidByteIsFound) {
  EXPECT_EQ(find_invalid_utf8(""), std::nullopt);
  EXPECT_EQ(find_invalid_utf8("a\xC3\xA9"), std::nullopt);
  EXPECT_EQ(find_invalid_utf8("a\xC3\xA9\xE2\x82z"), std::optional<std::size_t>(3));
}

TEST(Unicode, StripRemovesTheWhiteSpaceOfTheSpecificationAndNoOther) {
  EXPECT_EQ(strip("\x1C\t \v\f\r\nx y\x1F "), "x y");
  EXPECT_EQ(strip("\xC2\xA0\xE3\x80\x80x\xE2\x80\xA8\xC2\x85"), "x");
  EXPECT_EQ(strip("\xE2\x80\x8Bx\xEF\xBB\xBF"), "\xE2\x80\x8Bx\xEF\xBB\xBF");
  EXPECT_EQ(strip(" \xE1\x9A\x80 "), "");
  EXPECT_EQ(strip("\x85x\xA0"), "\x85x\xA0") << "bytes that are no UTF-8 are no white space";
}

TEST(Unicode, WhiteSpaceSplitsOnRuns) {
  EXPECT_EQ(split_white_space(" a\t\xC2\xA0 bc\n"), (std::vector<std::string_view>{"a", "bc"}));
  EXPECT_TRUE(split_white_space(" \n").empty());
}

TEST(Unicode, LowerCaseFollowsTheFullMappingsOfNoLanguage) {
  EXPECT_EQ(to_lower("CaT-9"), "cat-9");
  EXPECT_EQ(to_lower("\xC3\x89"
                     "CLAIR \xD0\x94"),
            "\xC3\xA9"
            "clair \xD0\xB4");
  EXPECT_EQ(to_lower("\xC4\xB0I"), "i\xCC\x87i");
  EXPECT_EQ(to_lower("\xE1\xBA\x9E"), "\xC3\x9F");
}

TEST(Unicode, ACapitalSigmaIsFinalOnlyAtTheEndOfAWord) {
  EXPECT_EQ(to_lower("\xCE\x91\xCE\xA3"), "\xCE\xB1\xCF\x82");
  EXPECT_EQ(to_lower("\xCE\xA3"), "\xCF\x83");
  EXPECT_EQ(to_lower("\xCE\x91\xCE\xA3\xCE\x91"), "\xCE\xB1\xCF\x83\xCE\xB1");
  EXPECT_EQ(to_lower("\xCE\x91'\xCE\xA3'"), "\xCE\xB1'\xCF\x82'");
  EXPECT_EQ(to_lower("\xCE\x91\xCE\xA3'\xCE\x91"), "\xCE\xB1\xCF\x83'\xCE\xB1");
}

TEST(Unicode, LowerCaseRefusesWhatIsNotUtf8) { EXPECT_THROW(to_lower("A\xFF"), Error); }

}  // namespace
}  // namespace calm::text
