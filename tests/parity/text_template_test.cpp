#include "core/text/template.hpp"

#include <calm/cpp/error.hpp>

#include "core/text/field_input.hpp"
#include "tests/parity/text_golden.hpp"

namespace calm::text {
namespace {

nlohmann::json or_null(const std::string &text) {
  return text.empty() ? nlohmann::json() : nlohmann::json(text);
}

// An element as the golden file dumps it.
nlohmann::json dump(const Element &element) {
  nlohmann::json subtokens = nlohmann::json::array();
  for (const Subtoken &subtoken : element.subtokens) {
    subtokens.push_back({{"token", special_name(subtoken.token)},
                         {"id", subtoken.token},
                         {"field", or_null(subtoken.field)},
                         {"bare", subtoken.bare()}});
  }
  return {{"type", kind_name(element.kind)},
          {"token", special_name(element.token)},
          {"id", element.token},
          {"field", or_null(element.field)},
          {"primary", or_null(element.primary_key)},
          {"terminal", element.terminal},
          {"subtokens", subtokens}};
}

TEST(TemplateParity, EveryGoldenSequenceIsBuilt) {
  for (const auto &golden_case : golden::json("template.json", "build")) {
    SCOPED_TRACE(golden_case.dump());
    const Template layout = parse_template(golden_case["spec"].get<std::string>());
    EXPECT_EQ(build_sequence(layout, golden::options(golden_case["opts"]),
                             golden_case["budget"].get<std::int64_t>()),
              golden::ids(golden_case["ids"]));
  }
}

TEST(TemplateParity, EveryGoldenSpecificationIsParsedAlike) {
  for (const auto &golden_case : golden::json("template.json", "parse")) {
    SCOPED_TRACE(golden_case["spec"].dump());
    const Template layout = parse_template(golden_case["spec"].get<std::string>());
    nlohmann::json elements = nlohmann::json::array();
    for (const Element &element : layout.elements) elements.push_back(dump(element));
    EXPECT_EQ(elements, golden_case["elements"]);
    EXPECT_EQ(nlohmann::json(field_names(layout)), golden_case["field_names"]);
  }
}

TEST(TemplateParity, EveryGoldenBadSpecificationIsRefused) {
  for (const auto &spec : golden::json("template.json", "parse_errors")) {
    SCOPED_TRACE(spec.dump());
    EXPECT_THROW(parse_template(spec.get<std::string>()), Error);
  }
}

TEST(FieldInputParity, EveryGoldenInputGivesItsFields) {
  for (const auto &golden_case : golden::json("field_input.json", "parse_field_input")) {
    SCOPED_TRACE(golden_case.dump());
    const auto fields = parse_field_input(golden_case["names"].get<std::vector<std::string>>(),
                                          golden_case["text"].get<std::string>());
    EXPECT_EQ(fields ? nlohmann::json(*fields) : nlohmann::json(), golden_case["fields"]);
  }
}

TEST(FieldInputParity, EveryGoldenInputGivesItsSequence) {
  for (const auto &golden_case : golden::json("field_input.json", "cli_sequence")) {
    SCOPED_TRACE(golden_case.dump());
    EXPECT_EQ(input_sequence(golden_case["template"].get<std::string>(),
                             golden_case["input"].get<std::string>(),
                             golden_case["budget"].get<std::int64_t>()),
              golden::ids(golden_case["ids"]));
  }
}

TEST(FieldInputParity, WithoutATemplateTheInputFollowsBos) {
  for (const auto &golden_case : golden::json("field_input.json", "fallback")) {
    EXPECT_EQ(input_sequence("", golden_case["input"].get<std::string>(), 64),
              golden::ids(golden_case["ids"]));
  }
}

}  // namespace
}  // namespace calm::text
