#include "core/train/config_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <calm/cpp/error.hpp>
#include <string>

namespace calm::train {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string refusal(std::string_view text) {
  try {
    parse_settings(text, "f.toml");
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_INVALID_ARGUMENT);
    EXPECT_THAT(e.what(), Not(HasSubstr("\n")));
    return e.what();
  }
  return "accepted";
}

std::string repeated(std::string_view piece, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) {
    text += piece;
  }
  return text;
}

TEST(ConfigFile, LongDottedKeysAreRefusedBeforeTheyNest) {
  const std::string dots = repeated(".a", 500000);
  EXPECT_THAT(refusal("seed = 1\na" + dots + " = 1\n"), HasSubstr("f.toml:2: expected at most 16"));
  EXPECT_THAT(refusal("[a" + dots + "]\n"), HasSubstr("dots"));
  EXPECT_THAT(refusal("[[a" + dots + "]]\n"), HasSubstr("dots"));
  EXPECT_THAT(refusal("x = {a" + dots + " = 1}\n"), HasSubstr("dots"));
  EXPECT_THAT(refusal("\"#\"" + dots + " = 1\n"), HasSubstr("dots"));
  EXPECT_THAT(refusal("'\"'" + dots + " = 1\n"), HasSubstr("dots"));
  EXPECT_THAT(refusal("\"\\\"\"" + dots + " = 1\n"), HasSubstr("dots"));
  EXPECT_THAT(refusal("x = \"\"\"\"\"a\"\"\"\"\"\na" + dots + " = 1\n"), HasSubstr("f.toml:2:"));
  EXPECT_THAT(refusal("x = '''\n''\n'''\na" + dots + " = 1\n"), HasSubstr("f.toml:4:"));
  // As a text on the command line it is what it looks like.
  EXPECT_EQ(parse_setting("domain={a" + dots + "=1}", "--set").value.type, CALM_VALUE_STR);
}

TEST(ConfigFile, DotsInTextsAndCommentsNestNothing) {
  const std::string dots(5000, '.');
  EXPECT_EQ(refusal("# " + dots + "\ndomain = \"" + dots + "\" # " + dots + "\n"), "accepted");
  EXPECT_EQ(refusal("domain = '" + dots + "'\n"), "accepted");
  EXPECT_EQ(refusal("domain = \"\"\"\n\"" + dots + "\n\\\"\"\"" + dots + "\"\"\"\n"), "accepted");
  EXPECT_EQ(refusal("domain = '''" + dots + "\n" + dots + "'''\n"), "accepted");
}

TEST(ConfigFile, DeepValuesAreRefused) {
  for (const char *open : {"[", "{a=", "[{a=", "[\n"}) {
    EXPECT_THAT(refusal("a = " + repeated(open, 100000)), HasSubstr("not TOML")) << open;
  }
}

TEST(ConfigFile, WhatAMessageQuotesStaysOnItsLine) {
  EXPECT_EQ(refusal("\"a\\n\\u001b[2J\" = [1]\n"),
            "f.toml:1: a\\x0a\\x1b[2J: expected a number, a text, true or false");
  try {
    parse_setting("a\nb\x1b", "--set");
    FAIL() << "no assignment";
  } catch (const Error &e) {
    EXPECT_STREQ(e.what(), "--set a\\x0ab\\x1b: expected SECTION.KEY=VALUE");
  }
}

}  // namespace
}  // namespace calm::train
