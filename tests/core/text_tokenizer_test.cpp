#include "core/text/tokenizer.hpp"

#include <calm/cpp/error.hpp>

#include "core/text/inline_pattern.hpp"
#include "core/text/shell_sequence.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace calm::text {
namespace {

TEST(Tokenizer, EveryNamedSpecialIsFoundByItsName) {
  for (Token id = kPad; id <= kRef; ++id) {
    EXPECT_EQ(special_by_name(special_name(id)), std::optional<Token>(id));
  }
  EXPECT_EQ(special_by_name("BOS"), std::optional<Token>(257));
  EXPECT_EQ(special_by_name("REF"), std::optional<Token>(277));
  EXPECT_EQ(special_by_name("bos"), std::nullopt);
  EXPECT_EQ(special_by_name(""), std::nullopt);
  EXPECT_EQ(special_name(255), "");
  EXPECT_EQ(special_name(278), "");
}

TEST(Tokenizer, FileIsReadAsQueryAndNeverPrinted) {
  EXPECT_EQ(special_by_name("FILE"), std::optional<Token>(kQuery));
  EXPECT_EQ(token_name(kQuery), "<QUERY>");
}

TEST(Tokenizer, IdsOutsideTheVocabularyAreRenderedAndNeverRead) {
  const std::vector<Token> ids = {-1, 320, std::numeric_limits<Token>::min(),
                                  std::numeric_limits<Token>::max()};
  EXPECT_EQ(decode(ids), "");
  EXPECT_EQ(decode_str(ids), "    ");
  EXPECT_EQ(decode_with_specials({ids.data(), 2}), "<RESERVED_-1><RESERVED_320>");
}

TEST(Tokenizer, AFrameIsItsTokenTheBytesAndEnd) {
  EXPECT_EQ(encode_frame(kCwd, "/\xC3\xA9"), (std::vector<Token>{kCwd, '/', 0xC3, 0xA9, kEnd}));
  EXPECT_EQ(encode_frame(kCwd, ""), (std::vector<Token>{kCwd, kEnd}));
}

TEST(Tokenizer, TheCommandPositionIsTheFirstAtn) {
  EXPECT_EQ(find_cmd_pos(std::vector<Token>{kBos, 'a', kAtn, kAtn}), 2u);
  EXPECT_EQ(find_cmd_pos(std::vector<Token>{}), 0u);
}

TEST(Tokenizer, ItsInfoListsTheNamedSpecials) {
  const TokenizerInfo info = tokenizer_info();
  EXPECT_EQ(info.name, "calm");
  EXPECT_EQ(info.vocab_size, 320);
  EXPECT_EQ(info.pad_id, 256);
  ASSERT_EQ(info.special_tokens.size(), 22u);
  EXPECT_EQ(info.special_tokens.front(), (std::pair<Token, std::string>(256, "<PAD>")));
  EXPECT_EQ(info.special_tokens.back(), (std::pair<Token, std::string>(277, "<REF>")));
  EXPECT_NO_THROW(check_tokenizer_name(info.name));
  EXPECT_THROW(check_tokenizer_name("llama"), Error);
}

TEST(ShellSequence, EveryFrameKeepsItsFixedPlace) {
  ShellContext context;
  context.env = "A=1";
  context.git = "";
  context.history.push_back({"ls", -1});
  EXPECT_EQ(build_shell_sequence(context),
            (std::vector<Token>{kBos, kGit, kEnd, kHist, 'l', 's', kExit, '-', '1', kEnd, kEnv, 'A',
                                '=', '1', kEnd, kAtn, kCmd}));
}

InlineErrorKind kind_of(std::string_view text) {
  try {
    parse_inline(text);
  } catch (const InlineError &error) {
    return error.kind();
  }
  ADD_FAILURE() << "accepted: " << text;
  return InlineErrorKind::kEmpty;
}

TEST(InlinePattern, TheFirstErrorInTextOrderIsReported) {
  EXPECT_EQ(kind_of("a<:320:><NOPE>"), InlineErrorKind::kIdRange);
  EXPECT_EQ(kind_of("a<NOPE><:320:>"), InlineErrorKind::kUnknownName);
  EXPECT_EQ(kind_of(""), InlineErrorKind::kEmpty);
  EXPECT_EQ(kind_of("<:" + std::string(5000, '9') + ":>"), InlineErrorKind::kIdRange);
}

TEST(InlinePattern, AnyNumberOfLeadingZerosIsAllowed) {
  EXPECT_EQ(parse_inline("<:" + std::string(5000, '0') + "65:>"), std::vector<Token>{65});
}

TEST(InlinePattern, OtherDigitsThanAsciiAreLiteralText) {
  const std::string arabic = "<:\xD9\xA1:>";
  EXPECT_EQ(parse_inline(arabic), encode(arabic));
}

TEST(InlinePattern, BytesThatAreNotUtf8PassThrough) {
  EXPECT_EQ(parse_inline("\xFF<BOS>\xC3"), (std::vector<Token>{0xFF, kBos, 0xC3}));
}

}  // namespace
}  // namespace calm::text
