#include "core/data/text_dataset.hpp"

#include <calm/cpp/error.hpp>

#include "core/data/md5.hpp"
#include "core/text/tokenizer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace calm::data {
namespace {

using Strings = std::vector<std::string>;

// Sequences in the printed form of A.6.
Strings printed(const SequenceSet &set) {
  Strings out;
  std::ptrdiff_t start = 0;
  for (const std::uint32_t length : set.lengths) {
    const auto first = set.tokens.begin() + start;
    start += static_cast<std::ptrdiff_t>(length);
    out.push_back(
        text::decode_with_specials(std::vector<text::Token>(first, set.tokens.begin() + start)));
  }
  return out;
}

TextDataset encode(std::string_view text, const TextDatasetOptions &options = {}) {
  return encode_text_dataset(text, "test.txt", options);
}

Strings encoded(std::string_view text) { return printed(encode(text).train.sequences); }

TEST(TextDataset, AFileLineIsAQueryFrame) {
  EXPECT_EQ(encoded("<FILE>how<NOTE>\n<ATN>\n<REF>r<NOTE>n<BY>b"),
            Strings{"<BOS><QUERY>how<NOTE><END><ATN><REF>r<NOTE>n<BY>b<END><EOS>"});
}

TEST(TextDataset, SubtokensAreLiteralTextOutsideTheirFrames) {
  const SequenceSet set =
      encode("<CMD>a<EXIT>1\n\n<HIST>a<EXIT>1\n\n<HIST>a<NEXT>1").train.sequences;
  // Bytes or one token, the print is the same: the lengths tell.
  EXPECT_EQ(printed(set),
            (Strings{"<BOS><ATN><CMD>a<EXIT>1<END><EOS>", "<BOS><HIST>a<EXIT>1<END><EOS>",
                     "<BOS><HIST>a<NEXT>1<END><EOS>"}));
  EXPECT_EQ(set.lengths, (std::vector<std::uint32_t>{13, 7, 12}));
}

TEST(TextDataset, AnExplicitAtnLineTurnsTheAutomaticOnesOff) {
  EXPECT_EQ(encoded("<CMD>a\n<CMD>b"), Strings{"<BOS><ATN><CMD>a<END><ATN><CMD>b<END><EOS>"});
  EXPECT_EQ(encoded("<CMD>a\n<ATN> rest is lost\n<CMD>b"),
            Strings{"<BOS><CMD>a<END><ATN><CMD>b<END><EOS>"});
}

TEST(TextDataset, PlainLinesAreJoinedWithNothingBetween) {
  EXPECT_EQ(encoded("  one \ntwo\n\n<NOPE>x\n<BY>y"),
            (Strings{"<BOS>onetwo<EOS>", "<BOS><NOPE>x<BY>y<EOS>"}));
}

TEST(TextDataset, EveryKindOfLineEndIsALineFeed) {
  EXPECT_EQ(encoded("<CWD>a\r\n<GIT>b\r\r<CWD>c"),
            (Strings{"<BOS><CWD>a<END><GIT>b<END><EOS>", "<BOS><CWD>c<END><EOS>"}));
}

TEST(TextDataset, AByteOrderMarkIsACharacter) {
  EXPECT_EQ(encoded("\xEF\xBB\xBF<CMD>x"), Strings{"<BOS>\\xef\\xbb\\xbf<CMD>x<EOS>"});
  EXPECT_FALSE(encode("\xEF\xBB\xBF<WORD>x\n<DEF>y").dictionary);
}

TEST(TextDataset, OnlyTheVeryFirstBlockDecidesTheFormat) {
  EXPECT_TRUE(encode("\n \n <WORD>x\n<DEF>y").dictionary);
  EXPECT_FALSE(encode("a\n\n<WORD>x\n<DEF>y").dictionary);
}

TEST(TextDataset, LengthsAtTheLimitsAreKept) {
  TextDatasetOptions options;
  options.l_max = 5;
  const TextDataset dataset = encode("<BOS>\n\nabc\n\nabcd\n\n<PAD>\n<PAD>\n<PAD>", options);
  EXPECT_EQ(printed(dataset.train.sequences),
            (Strings{"<BOS><BOS><EOS>", "<BOS>abc<EOS>", "<BOS><PAD><PAD><PAD><EOS>"}));
  EXPECT_EQ(dataset.train.parsed, 4u);
  EXPECT_EQ(dataset.train.dropped, 1u);
  for (const std::int64_t l_max : {std::numeric_limits<std::int64_t>::min(), std::int64_t{0}}) {
    options.l_max = l_max;
    EXPECT_EQ(encode("abc", options).train.dropped, 1u);
  }
}

TEST(TextDataset, TheCommandPositionIsTheFirstAtnOrZero) {
  const TextDataset dataset = encode("<CWD>a\n<CMD>b\n\nplain");
  EXPECT_EQ(dataset.train.sequences.cmd_pos, (std::vector<std::uint32_t>{4, 0}));
}

TEST(TextDataset, AnEmptyTextGivesNothing) {
  for (const char *text : {"", "\n", " \n\t\n\n", "<WORD>no definition", "<WORD>"}) {
    const TextDataset dataset = encode(text);
    EXPECT_EQ(dataset.parsed(), 0u) << text;
    EXPECT_EQ(dataset.train.sequences.size(), 0u);
  }
}

TEST(TextDataset, BytesThatAreNotUtf8AreRefusedWithTheirOffset) {
  try {
    encode("<CMD>ok\n\xFF\xFE");
    FAIL();
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), CALM_CORRUPT_DATA);
    EXPECT_STREQ(error.what(), "test.txt: offset 8: expected UTF-8, found byte 0xff");
  }
}

TEST(Dictionary, MarkersAreTakenOnceAndInTheirOwnOrder) {
  EXPECT_EQ(encoded("<WORD> w <IPA> i <POS> p <POS>again<NOTE>\n<DEF>d"),
            Strings{"<BOS><WORD>w<ATN><POS>p <POS>again<IPA>i<END><DEF>d<END><EOS>"});
}

TEST(Dictionary, ALineOfBlanksJoinsTwoEntries) {
  EXPECT_EQ(encoded("<WORD>a\n<DEF>1\n \n<WORD>b\n<DEF>2\n\n\n<WORD>c\n<DEF>"),
            (Strings{"<BOS><WORD>a<ATN><END><DEF>1<END><DEF>2<END><EOS>",
                     "<BOS><WORD>c<ATN><END><DEF><END><EOS>"}));
}

TEST(Dictionary, AQuoteNeedsADefinitionAndKeepsItsSpaces) {
  EXPECT_EQ(
      encoded("<WORD>a\n<QUOTE>lost\n<DEF>d\n<QUOTE> q <BY> b <BY>c\n<QUOTE>e<BY>"),
      Strings{"<BOS><WORD>a<ATN><END><DEF>d<END><QUOTE> q <BY> b <BY>c<END><QUOTE>e<END><EOS>"});
}

TEST(Split, EveryTextFallsOnOneSideAndTheSameEveryTime) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "line " + std::to_string(i) + "\n\n";
  TextDatasetOptions options;
  options.val_split = 0.25;
  const TextDataset dataset = encode(text, options);
  EXPECT_EQ(dataset.parsed(), 2000u);
  EXPECT_NEAR(static_cast<double>(dataset.val.parsed), 500.0, 100.0);
  EXPECT_EQ(printed(encode(text, options).val.sequences), printed(dataset.val.sequences));
  options.val_split = 1.0;
  EXPECT_EQ(encode(text, options).train.parsed, 0u);
  for (const double none : {0.0, -1.0, std::nan("")}) {
    options.val_split = none;
    EXPECT_EQ(encode(text, options).val.parsed, 0u);
  }
}

TEST(Split, HeadwordsThatDifferInCaseStayTogether) {
  TextDatasetOptions options;
  options.val_split = 1.0;
  const std::string text =
      "<WORD>\xC3\x89t\xC3\xA9\n<DEF>1\n\n<WORD>b\n<DEF>2\n\n<WORD>\xC3\xA9T\xC3\x89\n<DEF>3";
  const Strings sequences = printed(encode(text, options).val.sequences);
  ASSERT_EQ(sequences.size(), 3u);
  EXPECT_NE(sequences[0].find("<DEF>1"), std::string::npos);
  EXPECT_NE(sequences[1].find("<DEF>3"), std::string::npos) << "grouped with the first";
  EXPECT_NE(sequences[2].find("<DEF>2"), std::string::npos);
}

TEST(Md5, KnownSumsAreReproduced) {
  const Md5 md5;
  const std::array<std::uint8_t, 16> empty = {0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0x00, 0xb2, 0x04,
                                              0xe9, 0x80, 0x09, 0x98, 0xec, 0xf8, 0x42, 0x7e};
  const std::array<std::uint8_t, 16> abc = {0x90, 0x01, 0x50, 0x98, 0x3c, 0xd2, 0x4f, 0xb0,
                                            0xd6, 0x96, 0x3f, 0x7d, 0x28, 0xe1, 0x7f, 0x72};
  EXPECT_EQ(md5(""), empty);
  EXPECT_EQ(md5("abc"), abc);
}

TEST(Verification, ATextOfExactly120CharactersIsWholeAndMoreIsCut) {
  const std::string line(121, 'x');
  EXPECT_EQ(render_verification(encode(line.substr(1) + "\n\n" + line).train.sequences),
            "\n--- Verification ---\nCTDS sequences: 2\nMax sequence length: 123\n"
            "  [0] len=122 cmd_pos=0 " +
                std::string(120, 'x') +
                "...\n"
                "  [1] len=123 cmd_pos=0 " +
                std::string(120, 'x') + "...\n");
}

TEST(Verification, ReservedIdsAreOmittedAndShortSequencesAreEmpty) {
  const SequenceSet set = {{300, 300, 'a', 319, 65, 7}, {4, 1, 1}, {0, 0, 0}};
  EXPECT_EQ(render_verification(set),
            "\n--- Verification ---\nCTDS sequences: 3\nMax sequence length: 4\n"
            "  [0] len=4 cmd_pos=0 a...\n  [1] len=1 cmd_pos=0 ...\n  [2] len=1 cmd_pos=0 ...\n");
}

TEST(ValidationPath, TheLastSuffixIsReplaced) {
  EXPECT_EQ(default_val_path("d/a.b.ctds"), "d/a.b_val.ctds");
  EXPECT_EQ(default_val_path("plain"), "plain_val.ctds");
}

}  // namespace
}  // namespace calm::data
