#include "core/train/config_yaml.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

namespace calm::train {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string refusal(std::string_view text) {
  try {
    parse_yaml_settings(text, "f.yaml");
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_INVALID_ARGUMENT);
    EXPECT_THAT(e.what(), Not(HasSubstr("\n")));
    EXPECT_THAT(e.what(), StartsWith("f.yaml:"));
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

OwnedValue value_of(const std::string &text) {
  const std::vector<Setting> settings = parse_yaml_settings("training:\n  key: " + text, "f.yaml");
  EXPECT_EQ(settings.size(), 1u) << text;
  return settings.empty() ? OwnedValue{} : settings[0].value;
}

TEST(ConfigYaml, SectionsAndKeysAtTheTopKeepTheirPlace) {
  const std::vector<Setting> settings = parse_yaml_settings(
      "# mine\ndomain: shell\nmodel:\n  d_model: 32\n\ncontinual: {method: none}\nother:\n",
      "f.yml");
  ASSERT_EQ(settings.size(), 3u);
  EXPECT_EQ(settings[0].section, "");
  EXPECT_EQ(settings[0].value.name, "domain");
  EXPECT_EQ(settings[0].value.text, "shell");
  EXPECT_EQ(settings[0].origin, "f.yml:2");
  EXPECT_EQ(settings[1].section, "model");
  EXPECT_EQ(settings[1].value.i64, 32);
  EXPECT_EQ(settings[1].origin, "f.yml:4");
  EXPECT_EQ(settings[2].section, "continual");
  EXPECT_EQ(settings[2].value.name, "method");
  EXPECT_TRUE(parse_yaml_settings("", "f.yml").empty());
  EXPECT_TRUE(parse_yaml_settings("---\n# nothing\n", "f.yml").empty());
}

TEST(ConfigYaml, APlainScalarIsWhatItLooksLike) {
  const auto whole = [](const std::string &text, std::int64_t want) {
    EXPECT_EQ(value_of(text).type, CALM_VALUE_I64) << text;
    EXPECT_EQ(value_of(text).i64, want) << text;
  };
  const auto real = [](const std::string &text, double want) {
    EXPECT_EQ(value_of(text).type, CALM_VALUE_F64) << text;
    EXPECT_EQ(value_of(text).f64, want) << text;
  };
  whole("0", 0);
  whole("-7", -7);
  whole("+12", 12);
  whole("9223372036854775807", 9223372036854775807);
  real("1e-4", 1e-4);
  real("1E+3", 1e3);
  real("0.003", 0.003);
  real("-.5", -0.5);
  real("5.", 5.0);
  real("0e1", 0.0);
  real("9223372036854775808", 9223372036854775808.0);
  for (const char *yes : {"true", "True", "yes", "on"}) {
    EXPECT_EQ(value_of(yes).type, CALM_VALUE_BOOL) << yes;
    EXPECT_EQ(value_of(yes).i64, 1) << yes;
  }
  for (const char *no : {"false", "FALSE", "no", "off"}) {
    EXPECT_EQ(value_of(no).type, CALM_VALUE_BOOL) << no;
    EXPECT_EQ(value_of(no).i64, 0) << no;
  }
  for (const char *text : {"'1'", "\"true\"", "012", "0x10", "1_000", ".inf", "nan", "1e", "1e-4x",
                           "++1", "+-1", "1 2", "BOS;ATN;CMD:x"}) {
    EXPECT_EQ(value_of(text).type, CALM_VALUE_STR) << text;
  }
  EXPECT_EQ(value_of("'1'").text, "1");
  EXPECT_EQ(value_of("\"\"").text, "");
  EXPECT_EQ(value_of("|\n    a\n    b\n").text, "a\nb\n");
}

TEST(ConfigYaml, AnAliasStandsForAScalarOnly) {
  const std::vector<Setting> settings =
      parse_yaml_settings("model: {d_model: &d 32, l_max: *d}\n", "f.yaml");
  ASSERT_EQ(settings.size(), 2u);
  EXPECT_EQ(settings[1].value.i64, 32);
  EXPECT_THAT(refusal("model: &m {d_model: 32}\ntraining: *m\n"),
              HasSubstr("f.yaml:2: expected an alias of a number or a text"));
  EXPECT_THAT(refusal("a: *b\n"), HasSubstr("f.yaml:1: not YAML: "));
}

TEST(ConfigYaml, ExpansionBombsAndDeepNestingEndAtOnce) {
  EXPECT_THAT(refusal("a: &a [x, x]\nb: &b [*a, *a]\n"), HasSubstr("f.yaml:1: "));
  EXPECT_THAT(refusal("a: &a {k: v}\nb: &b {x: *a, y: *a}\n"), HasSubstr("f.yaml:2: "));
  for (const char *open : {"[", "{", "{a: ", "a: {", "- ", "? ", "a:\n", "[[", "!t ", "&a "}) {
    EXPECT_NE(refusal("training:\n  x: " + repeated(open, 100000)), "accepted") << open;
    EXPECT_NE(refusal(repeated(open, 100000)), "accepted") << open;
  }
  std::string stairs;
  for (int i = 0; i < 1000; ++i) {
    stairs += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  }
  EXPECT_THAT(refusal(stairs), HasSubstr("found a section"));
}

TEST(ConfigYaml, WhatIsNoSettingIsRefusedWithItsLine) {
  EXPECT_EQ(refusal("a: 1\na: 2\n"), "f.yaml:2: a: expected each key once, found it again");
  EXPECT_EQ(refusal("model:\n  b: 1\n  b: 1\n"),
            "f.yaml:3: b: expected each key once, found it again");
  EXPECT_THAT(refusal("model: {a: 1}\nmodel: {b: 1}\n"),
              HasSubstr("f.yaml:2: model: expected each"));
  EXPECT_THAT(refusal("- 1\n"), HasSubstr("f.yaml:1: expected a number"));
  EXPECT_THAT(refusal("model: [1]\n"), HasSubstr("found a list"));
  EXPECT_THAT(refusal("just text\n"), HasSubstr("f.yaml:1: expected keys and sections"));
  EXPECT_EQ(refusal("model:\n  d_model: ~\n"),
            "f.yaml:2: d_model: expected a number, a text, true or false, found nothing");
  EXPECT_THAT(refusal("a: !!binary aaaa\n"), HasSubstr("expected no tag"));
  EXPECT_THAT(refusal("? {a: 1}\n: 2\n"), HasSubstr("f.yaml:1: "));
  EXPECT_THAT(refusal("a: 1\n---\nb: 2\n"), HasSubstr("expected one YAML document"));
  EXPECT_THAT(refusal("a: {b: 1\n"), HasSubstr("not YAML"));
  EXPECT_THAT(refusal("a: \x1b[31m\tb: }\n"), Not(HasSubstr("\x1b")));
  EXPECT_THAT(refusal("\"a\\tb\\e\": [1]\n"), Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace calm::train
