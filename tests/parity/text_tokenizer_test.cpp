#include "core/text/tokenizer.hpp"

#include "core/text/inline_pattern.hpp"
#include "core/text/shell_sequence.hpp"
#include "tests/parity/text_golden.hpp"

#include <cstdio>
#include <map>

namespace calm::text {
namespace {

std::string hex(const std::string &bytes) {
  std::string out;
  for (const char c : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x",
                  static_cast<unsigned>(static_cast<unsigned char>(c)));
    out += digits;
  }
  return out;
}

TEST(TokenizerParity, EveryTokenHasTheGoldenName) {
  const auto names = golden::json("tokenizer.json", "token_names");
  ASSERT_EQ(names.size(), static_cast<std::size_t>(kVocabSize));
  for (Token id = 0; id < kVocabSize; ++id) {
    EXPECT_EQ(token_name(id), names[static_cast<std::size_t>(id)].get<std::string>());
  }
}

TEST(TokenizerParity, EveryGoldenDecodingIsReproduced) {
  for (const auto &golden_case : golden::json("tokenizer.json", "decode")) {
    SCOPED_TRACE(golden_case.dump());
    const std::vector<Token> ids = golden::ids(golden_case["ids"]);
    EXPECT_EQ(hex(decode(ids)), golden_case["decode_hex"].get<std::string>());
    EXPECT_EQ(decode_str(ids), golden_case["decode_str"].get<std::string>());
    EXPECT_EQ(decode_with_specials(ids), golden_case["decode_with_specials"].get<std::string>());
    EXPECT_EQ(find_cmd_pos(ids), golden_case["find_cmd_pos"].get<std::size_t>());
  }
}

TEST(TokenizerParity, EveryGoldenTextIsEncodedAsItsBytes) {
  for (const auto &golden_case : golden::json("tokenizer.json", "encode")) {
    EXPECT_EQ(encode(golden_case["text"].get<std::string>()), golden::ids(golden_case["ids"]));
  }
}

TEST(TokenizerParity, TheLegacyShellBuilderAgrees) {
  for (const auto &golden_case : golden::json("tokenizer.json", "legacy_build_sequence")) {
    SCOPED_TRACE(golden_case.dump());
    const auto &args = golden_case["args"];
    ShellContext context;
    if (args.contains("cwd")) context.cwd = args["cwd"].get<std::string>();
    if (args.contains("git")) context.git = args["git"].get<std::string>();
    if (args.contains("env")) context.env = args["env"].get<std::string>();
    context.partial_cmd = args.value("partial_cmd", "");
    context.completions = args.value("completions", std::vector<std::string>());
    for (const auto &item : args.value("history", nlohmann::json::array())) {
      context.history.push_back({item[0].get<std::string>(), item[1].get<std::int64_t>()});
    }
    EXPECT_EQ(build_shell_sequence(context), golden::ids(golden_case["ids"]));
  }
}

TEST(InlinePatternParity, EveryGoldenInputGivesItsTokensOrItsErrorKind) {
  const std::map<InlineErrorKind, std::string> kinds = {
      {InlineErrorKind::kUnknownName, "unknown-name"},
      {InlineErrorKind::kIdRange, "id-range"},
      {InlineErrorKind::kEmpty, "empty"}};
  for (const auto &golden_case : golden::json("inline.json", "cases")) {
    SCOPED_TRACE(golden_case.dump());
    const std::string input = golden_case["text"].get<std::string>();
    if (!golden_case.contains("error")) {
      EXPECT_EQ(parse_inline(input), golden::ids(golden_case["ids"]));
      continue;
    }
    try {
      parse_inline(input);
      ADD_FAILURE() << "accepted";
    } catch (const InlineError &error) {
      EXPECT_EQ(kinds.at(error.kind()), golden_case["error"].get<std::string>());
      EXPECT_EQ(error.status(), CALM_INVALID_ARGUMENT);
    }
  }
}

TEST(InlinePatternParity, FileIsAnInputAliasOfQuery) {
  for (const auto &golden_case : golden::json("inline.json", "ours_alias")) {
    SCOPED_TRACE(golden_case.dump());
    const std::vector<Token> expected = golden::ids(golden_case["ids"]);
    if (golden_case.contains("text")) {
      EXPECT_EQ(parse_inline(golden_case["text"].get<std::string>()), expected);
    } else {
      const Template layout = parse_template(golden_case["template"].get<std::string>());
      EXPECT_EQ(build_sequence(layout, golden::options(golden_case["opts"])), expected);
    }
  }
}

}  // namespace
}  // namespace calm::text
