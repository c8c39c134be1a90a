#include "core/text/template.hpp"

#include <calm/cpp/error.hpp>

#include "core/text/field_input.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace calm::text {
namespace {

OptionValue str(std::string text) { return {std::move(text)}; }
OptionValue num(std::int64_t number) { return {number}; }

// The sequence in the printed form of A.6, which is easier to read than ids.
std::string build(std::string_view spec, const OptionMap &options,
                  std::int64_t budget = kDefaultBudget) {
  return decode_with_specials(build_sequence(parse_template(spec), options, budget));
}

TEST(Template, ABareAtnMarksTheLastFollowingFrameTerminal) {
  const Template layout = parse_template("CMD:a;ATN;GIT:g;COMP:c+;CMD:b;ENV:e*");
  std::vector<bool> terminal;
  for (const Element &element : layout.elements) terminal.push_back(element.terminal);
  EXPECT_EQ(terminal, (std::vector<bool>{false, false, false, false, true, false}));
}

TEST(Template, AnAtnInsideAFrameOpensNothing) {
  EXPECT_FALSE(parse_template("WORD:w/ATN;CMD:c").elements.back().terminal);
}

TEST(Template, AnyWhiteSpaceRoundASemicolonIsIgnored) {
  EXPECT_EQ(build("\tBOS\t;\n\xC2\xA0"
                  "ATN ;\t; CMD:c\r\n",
                  {{"c", str("x")}}),
            "<BOS><ATN><CMD>x");
}

TEST(Template, WhiteSpaceInsideAnEntryIsAnError) {
  for (const char *spec : {"CMD: c", "CMD :c", "WORD:w/ATN /POS:p", "HIST(k):h* /EXIT:e",
                           "HIST( k):h*", "WORD:w/ATN\n/POS:p"}) {
    EXPECT_THROW(parse_template(spec), Error) << spec;
  }
}

TEST(Template, ErrorsNameTheEntryOnOneSafeLine) {
  try {
    parse_template("BOS;CMD:a\n\x1B[2Jb;ATN");
    FAIL();
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), CALM_INVALID_ARGUMENT);
    EXPECT_STREQ(error.what(),
                 "template: entry 'CMD:a\\x0a\\x1b[2Jb': expected '/', '+', '*' or the end of the "
                 "entry, found '\\x0a\\x1b[2Jb'");
  }
}

TEST(Template, FileNamesTheQueryToken) {
  const Template layout = parse_template("BOS;FILE:input;WORD:w/FILE:f");
  EXPECT_EQ(layout.elements[1].token, kQuery);
  EXPECT_EQ(layout.elements[2].subtokens.at(0).token, kQuery);
}

TEST(TemplateValues, AnIntegerFillsAFrameInDecimal) {
  EXPECT_EQ(build("CMD:c;GIT:g", {{"c", num(42)}, {"g", num(-7)}}), "<CMD>42<END><GIT>-7<END>");
  EXPECT_EQ(build("WORD:w/POS:p", {{"w", num(42)}}), "<WORD>42<END>");
}

TEST(TemplateValues, ZeroIsAbsentForAFrameAndRealForASubtoken) {
  EXPECT_EQ(build("BOS;CMD:c", {{"c", num(0)}}), "<BOS>");
  EXPECT_EQ(build("BOS;ATN;CMD:c", {{"c", num(0)}}), "<BOS><ATN><CMD>");
  EXPECT_EQ(build("BOS;WORD:w/POS:p", {{"w", num(0)}, {"p", num(1)}}), "<BOS>");
  EXPECT_EQ(build("WORD:w/POS:p", {{"w", str("x")}, {"p", num(0)}}), "<WORD>x<POS>0<END>");
  const OptionList history = {{OptionMap{{"k", num(0)}}},
                              {OptionMap{{"k", num(5)}, {"e", num(0)}}}};
  EXPECT_EQ(build("HIST(k):h*/EXIT:e", {{"h", {history}}}), "<HIST>5<EXIT>0<END>");
}

TEST(TemplateValues, ValuesOfAnUnfitTypeAreAbsent) {
  const OptionList list = {str("a")};
  const OptionMap map = {{"k", str("a")}};
  for (const OptionValue &value :
       {OptionValue{}, OptionValue{true}, OptionValue{list}, OptionValue{map}}) {
    EXPECT_EQ(build("BOS;CMD:c;WORD:w/ATN/POS:c", {{"c", value}, {"w", str("x")}}),
              "<BOS><WORD>x<ATN>");
  }
  for (const OptionValue &value :
       {OptionValue{}, OptionValue{true}, str("a"), num(1), OptionValue{map}}) {
    EXPECT_EQ(build("BOS;COMP:c+;ENV:c*;HIST(k):c*", {{"c", value}}), "<BOS>");
  }
}

TEST(TemplateValues, EosFollowsTheTruthOfItsOption) {
  for (const OptionValue &value : {OptionValue{}, OptionValue{false}, num(0), str(""),
                                   OptionValue{OptionList{}}, OptionValue{OptionMap{}}}) {
    EXPECT_EQ(build("BOS", {{"eos", value}}), "<BOS>");
  }
  for (const OptionValue &value :
       {OptionValue{true}, num(-1), str("0"), OptionValue{OptionList{{}}},
        OptionValue{OptionMap{{"a", {}}}}}) {
    EXPECT_EQ(build("BOS", {{"eos", value}}), "<BOS><EOS>");
  }
}

TEST(TemplateSubtokens, FieldsCountFromTheFirstOfTwoAtns) {
  constexpr std::string_view kSpec = "WORD:w/NOTE:n/ATN/POS:p/ATN/IPA:i";
  const OptionValue word = str("x");
  EXPECT_EQ(build(kSpec, {{"w", word}, {"p", str("v")}, {"i", str("k")}}),
            "<WORD>x<ATN><POS>v<ATN><IPA>k<END>")
      << "what is absent before the first ATN does not matter";
  EXPECT_EQ(build(kSpec, {{"w", word}, {"i", str("k")}}), "<WORD>x<ATN><ATN><IPA>k");
  EXPECT_EQ(build(kSpec, {{"w", word}, {"p", str("")}}), "<WORD>x<ATN><POS><ATN>");
}

TEST(TemplateSubtokens, AFieldedAtnOpensNothing) {
  EXPECT_EQ(build("WORD:w/ATN:a/POS:p", {{"w", str("x")}, {"a", str("y")}}), "<WORD>x<ATN>y<END>");
}

TEST(TemplateList, OnlyTheFirstFifteenItemsAreLookedAt) {
  OptionList items;
  for (int i = 0; i < 20; ++i) items.push_back(i % 2 == 0 ? str(std::to_string(i)) : num(i));
  EXPECT_EQ(build("COMP:c+", {{"c", {items}}}),
            "<COMP>0<NEXT>2<NEXT>4<NEXT>6<NEXT>8<NEXT>10<NEXT>12<NEXT>14<END>");
  const OptionList late(15, num(1));
  items = late;
  items.push_back(str("sixteenth"));
  EXPECT_EQ(build("BOS;COMP:c+", {{"c", {items}}}), "<BOS>");
}

TEST(TemplateBudget, TheNewestItemsThatFitAreKeptInOrder) {
  const OptionList env = {str("a"), str("bb"), num(1), str("c")};
  EXPECT_EQ(build("BOS;ENV:e*", {{"e", {env}}}, 8), "<BOS><ENV>bb<END><ENV>c<END>");
  EXPECT_EQ(build("BOS;ENV:e*", {{"e", {env}}}, 7), "<BOS><ENV>c<END>");
}

TEST(TemplateBudget, AnItemThatDoesNotFitHidesTheOlderOnes) {
  const OptionList env = {str("a"), str("bbbbbbbb"), str("c")};
  EXPECT_EQ(build("ENV:e*", {{"e", {env}}}, 8), "<ENV>c<END>");
}

TEST(TemplateBudget, FixedPartsAreNeverCutAndNoBudgetOverflows) {
  const OptionList env = {str("a")};
  for (const std::int64_t budget : {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1},
                                    std::int64_t{0}, std::int64_t{5}}) {
    EXPECT_EQ(build("CMD:c;ENV:e*", {{"c", str("xyz")}, {"e", {env}}}, budget), "<CMD>xyz<END>");
  }
  EXPECT_EQ(build("ENV:e*", {{"e", {env}}}, std::numeric_limits<std::int64_t>::max()),
            "<ENV>a<END>");
}

TEST(FieldInput, DuplicateFieldNamesCountAsSeveral) {
  EXPECT_EQ(decode_with_specials(input_sequence("GIT:a;CWD:a", "a:x", 64)),
            "<GIT>x<END><CWD>x<END>");
}

TEST(FieldInput, ABadSpecificationIsAnError) {
  EXPECT_THROW(input_sequence(" ; ", "x", 64), Error);
}

TEST(FieldInput, BytesThatAreNotUtf8PassThrough) {
  EXPECT_EQ(input_sequence("", "\xFF\r\n", 64), (std::vector<Token>{kBos, 0xFF, '\r', '\n'}));
}

TEST(DescribeFields, TheShellTemplateIsListed) {
  EXPECT_EQ(describe_fields("BOS;CWD:cwd;GIT:git;HIST(cmd):history*/EXIT:exit;ENV:env*;"
                            "COMP:completions+;ATN;CMD:input"),
            "template: BOS;CWD:cwd;GIT:git;HIST(cmd):history*/EXIT:exit;ENV:env*;"
            "COMP:completions+;ATN;CMD:input\n"
            "fields:\n"
            "  cwd              CWD    frame\n"
            "  git              GIT    frame\n"
            "  history          HIST   repeated_sub\n"
            "    exit           EXIT   (subtoken)\n"
            "    cmd            (primary key)\n"
            "  env              ENV    repeated\n"
            "  completions      COMP   list\n"
            "  input            CMD    frame (terminal)\n");
}

TEST(DescribeFields, BareSubtokensAreListed) {
  EXPECT_EQ(describe_fields("BOS;WORD:input/ATN/POS:pos"),
            "template: BOS;WORD:input/ATN/POS:pos\n"
            "fields:\n"
            "  input            WORD   frame_sub\n"
            "    ATN                   (bare)\n"
            "    pos            POS    (subtoken)\n");
}

TEST(DescribeFields, NoTemplateAndABadOneAreSaid) {
  EXPECT_EQ(describe_fields(""), "(no template)\n");
  const std::string bad = describe_fields("NOPE");
  EXPECT_EQ(bad.find("template: NOPE\n(parse error: "), 0u) << bad;
}

}  // namespace
}  // namespace calm::text
