#include "core/run/values.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "tests/core/model_fixture.hpp"

namespace calm::run {
namespace {

using model_test::flag;
using model_test::integer;
using model_test::real;

constexpr calm_value_spec kSchema[] = {required(spec_i64("width", 0, 1, 64)),
                                       spec_f64("rate", 0.5, 0, 1), spec_bool("on", true),
                                       spec_str("name", "nobody"), spec_i64("free", 3)};

Values resolve(const std::vector<OwnedValue> &given) {
  return Values::resolve(table(kSchema), given, "section");
}

std::string reason(const std::vector<OwnedValue> &given) {
  try {
    resolve(given);
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_INVALID_ARGUMENT);
    return e.what();
  }
  return "accepted";
}

OwnedValue text(std::string_view name, std::string_view value) {
  return {std::string(name), CALM_VALUE_STR, 0, 0, std::string(value)};
}

TEST(Values, TakeWhatIsGivenAndDefaultsElsewhereInTheOrderOfTheSchema) {
  const Values values = resolve({text("name", "ann"), integer("width", 8)});
  ASSERT_EQ(values.list().size(), 5u);
  EXPECT_EQ(values.list()[0].name, "width");
  EXPECT_EQ(values.integer("width"), 8);
  EXPECT_EQ(values.real("rate"), 0.5);
  EXPECT_TRUE(values.flag("on"));
  EXPECT_EQ(values.at("name").text, "ann");
  EXPECT_EQ(values.integer("free"), 3);
  EXPECT_TRUE(values.has("free"));
  EXPECT_FALSE(values.has("height"));
  EXPECT_THROW(values.at("height"), Error);
  EXPECT_EQ(view(values.records()[3].str), "ann");
}

TEST(Values, AcceptAnIntegerForARealKeyButNotTheReverse) {
  EXPECT_EQ(resolve({integer("width", 1), integer("rate", 1)}).real("rate"), 1.0);
  EXPECT_EQ(reason({real("width", 2.0)}), "section.width: expected an integer, found 2.0");
  EXPECT_EQ(reason({integer("width", 1), text("rate", "fast")}),
            "section.rate: expected a number, found \"fast\"");
  EXPECT_EQ(reason({integer("width", 1), integer("on", 1)}),
            "section.on: expected true or false, found 1");
  EXPECT_EQ(reason({integer("width", 1), flag("name", true)}),
            "section.name: expected a string, found true");
}

TEST(Values, NameAnUnknownKeyAndTheNearestOne) {
  EXPECT_THAT(reason({integer("width", 1), integer("widht", 1)}),
              testing::AllOf(testing::StartsWith("section.widht: unknown key"),
                             testing::HasSubstr("width")));
}

TEST(Values, RefuseAMissingRequiredKey) {
  EXPECT_EQ(reason({}), "section.width: expected an integer, found nothing");
}

TEST(Values, RefuseNumbersOutOfRange) {
  EXPECT_EQ(reason({integer("width", 65)}), "section.width: expected 1 to 64, found 65");
  EXPECT_EQ(reason({integer("width", 0)}), "section.width: expected 1 to 64, found 0");
  EXPECT_EQ(reason({integer("width", 1), real("rate", 1.5)}),
            "section.rate: expected 0 to 1, found 1.5");
  for (const double x :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    EXPECT_THAT(reason({integer("width", 1), real("rate", x)}),
                testing::HasSubstr("expected a finite number"));
  }
  EXPECT_EQ(resolve({integer("width", 64), integer("free", -9)}).integer("free"), -9);
}

TEST(Values, PrintNumbersSoThatTheyReadBack) {
  EXPECT_EQ(to_text(real("x", 0.1)), "0.1");
  EXPECT_EQ(to_text(real("x", 1e-5)), "1e-05");
  EXPECT_EQ(to_text(integer("x", -3)), "-3");
  EXPECT_EQ(to_text(flag("x", false)), "false");
}

}  // namespace
}  // namespace calm::run
