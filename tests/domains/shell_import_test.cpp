// Histories, completion files of fish and manual pages as command lines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <calm/cpp/value.hpp>

#include "core/data/text_dataset.hpp"
#include "tests/domains/dictd_fixture.hpp"

namespace calm::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

Imported import_text(std::string_view name, std::string_view text,
                     const std::vector<calm_value> &options = {}) {
  const TemporaryFolder folder;
  return import_with(domain_of("shell"), {folder.write(name, text)}, options);
}

const char kThree[] = "<ATN>\n<CMD>cd src";
const char kThreeB[] = "<HIST>cd src\n<ATN>\n<CMD>make";
const char kThreeC[] = "<HIST>cd src\n<HIST>make\n<ATN>\n<CMD>git commit -m '[END] it'";

TEST(ShellHistory, BashGivesEachCommandWithThoseBeforeIt) {
  const Imported got =
      import_text(".bash_history", "cd src\n ls secret\nmake\n\ngit commit -m '<END> it'\n");
  EXPECT_THAT(got.records, ElementsAre(kThree, kThreeB, kThreeC));
  EXPECT_EQ(got.counts.at("skipped commands: leading blank"), 1u);
  EXPECT_EQ(got.counts.at("commands of histories"), 3u);
}

TEST(ShellHistory, TimeStampsOfBashHoldCommandsOfSeveralLinesTogether) {
  const Imported got = import_text("history",
                                   "#1690000000\ncd src\n#1690000001\nfor i in a\ndo x\n"
                                   "done\n#1690000002\nmake\n");
  EXPECT_THAT(got.records, ElementsAre(kThree, kThreeB));
  EXPECT_EQ(got.counts.at("skipped commands: several lines"), 1u);
}

TEST(ShellHistory, TimeStampsThatBeginLateHoldTheCommandsAfterThemTogether) {
  const Imported got =
      import_text("history", "cd src\n#1690000001\nfor i in a\ndo x\ndone\n#1690000002\nmake\n");
  EXPECT_THAT(got.records, ElementsAre(kThree, kThreeB));
  EXPECT_EQ(got.counts.at("skipped commands: several lines"), 1u);
}

TEST(ShellHistory, LettersOfAnOlderEncodingAreWrittenInUtf8) {
  const Imported got = import_text("history", "ls caf\xe9\n");
  EXPECT_THAT(got.records, ElementsAre("<ATN>\n<CMD>ls caf\xc3\xa9"));
}

TEST(ShellHistory, ZshIsReadWithItsStampsContinuationsAndMetafiedBytes) {
  const Imported got =
      import_text(".zsh_history",
                  ": 1690000000:0;cd src\n: 1690000001:12;echo a\\\nb\n: 1690000002:0; ls\nmake\n"
                  ": 1690000003:0;echo \xc3\x83\x83\n");  // U+00E3 is C3 A3, and A3 is 83 83 to zsh
  EXPECT_THAT(got.records,
              ElementsAre(kThree, kThreeB, "<HIST>cd src\n<HIST>make\n<ATN>\n<CMD>echo \xc3\xa3"));
  EXPECT_EQ(got.counts.at("skipped commands: several lines"), 1u);
  EXPECT_EQ(got.counts.at("skipped commands: leading blank"), 1u);
}

TEST(ShellHistory, FishIsKnownByItsContent) {
  const Imported got =
      import_text("anything",
                  "- cmd: cd src\n  when: 1690000000\n- cmd: echo a\\nb\n  when: 1\n- cmd: make\n"
                  "  when: 2\n  paths:\n    - src\n");
  EXPECT_THAT(got.records, ElementsAre(kThree, kThreeB));
}

TEST(ShellHistory, TheOldestCommandsGoFirstWhenTheModelReadsLess) {
  const Imported got =
      import_text("history", "first command\nsecond\nthird\n", {value("l_max", 20)});
  EXPECT_THAT(got.records, ElementsAre("<ATN>\n<CMD>first command", "<ATN>\n<CMD>second",
                                       "<HIST>second\n<ATN>\n<CMD>third"));
}

TEST(ShellHistory, TheRecordsAreWhatTheTemplateOfTheDomainReads) {
  const Imported got = import_text("history", "cd src\nmake\n");
  const data::TextDataset dataset =
      data::encode_text_dataset(got.records[0] + "\n\n" + got.records[1] + "\n", "h", {});
  EXPECT_EQ(dataset.train.parsed, 2u);
  EXPECT_EQ(dataset.train.dropped, 0u);
  // BOS ATN CMD c d _ s r c END EOS
  EXPECT_THAT(std::vector<int>(dataset.train.sequences.tokens.begin(),
                               dataset.train.sequences.tokens.begin() + 11),
              ElementsAre(257, 259, 264, 'c', 'd', ' ', 's', 'r', 'c', 269, 258));
  EXPECT_EQ(dataset.train.sequences.cmd_pos[0], 1u);
}

std::vector<std::string> commands(const Imported &got) {
  std::vector<std::string> out;
  for (const std::string &record : got.records) {
    out.push_back(record.substr(std::string("<ATN>\n<CMD>").size()));
  }
  return out;
}

TEST(ShellFish, OptionsSubcommandsAndValuesBecomeCommands) {
  const Imported got = import_text(
      "tool.fish",
      "set -l verbs add 'commit'\n"
      "complete -c tool -n \"not __fish_seen_subcommand_from $verbs\" -a \"$verbs\"\n"
      "complete -c tool -s v -l verbose -d 'Say \\'more\\'; and more'\n"
      "complete -f -c tool -n '__fish_seen_subcommand_from add' -l color -xa \"always\\t'All the "
      "time' never\\tNo\"\n"
      "complete -c tool -n '__fish_tool_using_command commit' -o old # a comment\n"
      "complete -c tool -a '(tool --list)'\n"
      "complete -c tool -n 'test -e x' -l hidden\n"
      "complete -c $unknown -l nothing\n"
      "complete --command other --long-option=why \\\n   --short-option=w\n");
  EXPECT_THAT(commands(got),
              ElementsAre("tool", "tool add", "tool commit", "tool -v", "tool --verbose",
                          "tool add --color=always", "tool add --color=never", "tool commit -old",
                          "other", "other -w", "other --why"));
}

TEST(ShellManual, SynopsisAndExamplesBecomeCommands) {
  const Imported got = import_text(
      "git-frob.1",
      ".TH GIT-FROB 1\n.SH NAME\ngit-frob - frob it\n.SH SYNOPSIS\n.nf\n"
      "\\fIgit frob\\fR [\\-\\-all | \\-n] [\\-\\-depth=<n>]\n         [<path>...]\n.fi\n"
      ".SH EXAMPLES\nTo do it:\n.nf\n$ git frob \\-\\-all src\n  # no command\nFrobbed.\n.fi\n");
  EXPECT_THAT(commands(got), ElementsAre("git frob", "git frob --all", "git frob -n",
                                         "git frob --depth", "git frob --all src"));
}

TEST(ShellManual, APageOfNoCommandGivesNone) {
  EXPECT_THAT(
      import_text("frob.3", ".TH FROB 3\n.SH NAME\nfrob - x\n.SH SYNOPSIS\nfrob [-a]\n").records,
      IsEmpty());
}

TEST(ShellImport, FilesOfNoKnownKindAreCounted) {
  const TemporaryFolder folder;
  folder.write("d/notes", "no history at all\n");
  folder.write("d/bash_history.gz", gzip("make\n"));
  folder.write("d/binary_history", std::string_view("a\0b", 3));
  const Imported got = import_with(domain_of("shell"), {folder.file("d")});
  EXPECT_THAT(got.records, ElementsAre("<ATN>\n<CMD>make"));
  EXPECT_EQ(got.counts.at("skipped files: of no known kind"), 1u);
  EXPECT_EQ(got.counts.at("skipped files: not text"), 1u);
}

TEST(ShellImport, AnythingMayStandInAFile) {
  const std::string_view pieces[] = {"complete ", "-c ",
                                     "x",         "'",
                                     "\"",        "(",
                                     ")",         "$",
                                     "\\",        "\n",
                                     "-n '",      "; and",
                                     "-a",        "#",
                                     "- cmd: ",   ": 1:0;",
                                     "\x83",      "\xff",
                                     "set ",      "\t",
                                     " ",         "&&",
                                     "||",        "[",
                                     "-",         std::string_view("\0", 1)};
  std::uint32_t random = 99;
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 80; ++i) {
      random = random * 1664525u + 1013904223u;
      text += pieces[(random >> 16) % std::size(pieces)];
    }
    for (const char *name : {"f.fish", "zsh_history", "fish_history", "bash_history", "f.1"}) {
      EXPECT_EQ(import_text(name, text).status, CALM_OK) << text;
    }
  }
  EXPECT_THAT(import_text("history", std::string(1 << 20, 'x') + "\nmake\n").records,
              ElementsAre("<ATN>\n<CMD>make"));
  EXPECT_EQ(import_text("x.fish", "complete -c x -a '" + std::string(1 << 20, 'y')).status,
            CALM_OK);
}

}  // namespace
}  // namespace calm::test
