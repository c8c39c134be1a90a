// Manual pages, texts and RFCs as questions and passages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <calm/cpp/value.hpp>
#include <filesystem>

#include "core/data/pairs.hpp"
#include "core/data/text_dataset.hpp"
#include "tests/domains/dictd_fixture.hpp"

namespace calm::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

const char kMan[] =
    ".\\\" a comment\n"
    ".ie \\n(.g .ds Aq \\(aq\n"
    ".el .ds Aq '\n"
    ".TH FROB 1 2024-01-01\n"
    ".SH NAME\n"
    "frob \\- turn things\n"
    ".SH DESCRIPTION\n"
    "The\n"
    ".B frob\n"
    "command turns \\fIthings\\fP, it\\*(Aqs\n"
    ".BR handy (7).\n"
    ".SH OPTIONS\n"
    ".TP\n"
    ".BR \\-v \", \" \\-\\-verbose\n"
    "Say more about what is being turned.\n"
    ".PP\n"
    "\\-n, \\-\\-dry\\-run\n"
    ".RS 4\n"
    "Turn nothing, only say what would be.\n"
    ".RE\n"
    ".TS\ntab(;);\nl l.\nno;table\n.TE\n"
    ".de Xx\nnot a word of this\n..\n"
    ".so man1/frob.1\n"
    ".SH AUTHOR\nSomebody who is not asked for.\n";

const char kMdoc[] =
    ".Dd May 1, 2024\n.Dt KNOB 8\n.Os\n.Sh NAME\n.Nm knob\n.Nd set a knob\n.Sh DESCRIPTION\n"
    "The\n.Nm\nutility reads\n.Ar file ,\nsee\n.Xr frob 1 .\n"
    ".Bl -tag -width Ds\n.It Fl f Ar file\nRead that\n.Pq large\nfile instead of another.\n.El\n";

const char kRfc[] =
    "Network Working Group                                       A. Author\n"
    "Request for Comments: 9999                               January 1999\n\n"
    "                          A Title of Its Own\n\n"
    "Status of this Memo\n\n   Nobody reads what is said here at all.\n\n"
    "Table of Contents\n\n   1.  Scope . . . . . . . . . . . . 1\n\n"
    "1.  Scope\n\n   A sentence that goes on over the end\n\n"
    "Author                      Informational                     [Page 1]\n"
    "\f\nRFC 9999                A Title of Its Own            January 1999\n\n\n"
    "   of the page and stops on the next.\n\n"
    "2.1.  Addresses\n\n   Every address is one of those that follow here.\n\n"
    "      +----+----+\n      | 1  | 2  |\n      +----+----+\n";

TEST(NetrefImport, AManualPageBecomesItsSummarySectionsAndItems) {
  const TemporaryFolder folder;
  const Imported got = import_with(domain_of("netref"), {folder.write("frob.1", kMan)});
  EXPECT_EQ(got.message, "");
  EXPECT_THAT(
      got.records,
      ElementsAre("<QUERY>frob: turn things\n<ATN>\n<REF>The frob command turns things, it's "
                  "handy(7).",
                  "<QUERY>frob -v, --verbose\n<ATN>\n<REF>Say more about what is being turned.",
                  "<QUERY>frob -n, --dry-run\n<ATN>\n<REF>Turn nothing, only say what would be."));
}

TEST(NetrefImport, MdocIsReadLikeMan) {
  const TemporaryFolder folder;
  const Imported got = import_with(domain_of("netref"), {folder.write("knob.8.gz", gzip(kMdoc))});
  EXPECT_THAT(got.records,
              ElementsAre("<QUERY>knob: set a knob\n<ATN>\n<REF>The knob utility reads file, see "
                          "frob(1).",
                          "<QUERY>knob -f file\n<ATN>\n<REF>Read that (large) file instead of "
                          "another."));
}

TEST(NetrefImport, AnRfcLosesItsPagesAndIsCutAtItsHeadings) {
  const TemporaryFolder folder;
  const Imported got = import_with(domain_of("netref"), {folder.write("rfc9999.txt", kRfc)});
  EXPECT_THAT(got.records,
              ElementsAre("<QUERY>RFC 9999 A Title of Its Own: Scope\n<ATN>\n<REF>A sentence that "
                          "goes on over the end of the page and stops on the next.",
                          "<QUERY>RFC 9999 A Title of Its Own: Addresses\n<ATN>\n<REF>Every "
                          "address is one of those that follow here."));
}

TEST(NetrefImport, UnderlinedAndMarkedHeadingsCutATextToo) {
  const TemporaryFolder folder;
  const std::string text = folder.write(
      "guide.txt", "A Guide\n*******\n\n1. Care\n=======\n\nWater it every other day, no more.\n");
  const std::string marked =
      folder.write("readme.md", "# Tool\n\n## Use\n\nRun it where you want it to run.\n");
  EXPECT_THAT(import_with(domain_of("netref"), {text, marked}).records,
              ElementsAre("<QUERY>A Guide: Care\n<ATN>\n<REF>Water it every other day, no more.",
                          "<QUERY>Tool: Use\n<ATN>\n<REF>Run it where you want it to run."));
}

std::string pair_file(const Imported &got) {
  std::string text;
  for (const std::string &record : got.records) {
    text += record + "\n\n";
  }
  return text;
}

TEST(NetrefPairs, TheCoreReadsBackEveryPairThatWasWritten) {
  const TemporaryFolder folder;
  const std::vector<std::string> sources = {
      folder.write("frob.1", kMan), folder.write("rfc.txt", kRfc),
      folder.write("tags.txt",
                   "Title here\n==========\n\nA\n-\n\n<QUERY>in the way of the reader\n"
                   "<ATN> and another of them\n\n\n<REF>and a third one, at the beginning\n")};
  const Imported got = import_with(domain_of("netref"), sources, {value("pairs", true)});
  EXPECT_EQ(got.message, "");
  const data::PairFile file = data::parse_pairs(pair_file(got), "pairs");
  EXPECT_EQ(file.pairs.size(), got.records.size());
  EXPECT_EQ(file.pairs.size(), got.counts.at("pairs"));
  EXPECT_EQ(file.too_short, 0u);
  EXPECT_THAT(file.replaced_queries, ElementsAre());
  ASSERT_FALSE(file.pairs.empty());
  EXPECT_EQ(file.pairs[0].query, "frob: turn things");
  EXPECT_EQ(file.pairs.back().passage.find('<'), std::string::npos) << file.pairs.back().passage;
}

TEST(NetrefPairs, NoQueryAndNoPassageComesTwiceAndShortOnesDoNotCome) {
  const TemporaryFolder folder;
  const std::vector<std::string> sources = {
      folder.write("a.md",
                   "# Doc\n\n## One\n\nThe very same passage in both of them.\n\n"
                   "## Two\n\nThe very same passage in both of them.\n\n"
                   "## One\n\nAnother passage under the same heading.\n\n"
                   "## Three\n\nToo short.\n")};
  const Imported got = import_with(domain_of("netref"), sources, {value("pairs", true)});
  EXPECT_THAT(got.records,
              ElementsAre("<QUERY>Doc: One\n<REF>The very same passage in both of them."));
  EXPECT_EQ(got.counts.at("skipped: passage seen before"), 1u);
  EXPECT_EQ(got.counts.at("skipped: query seen before"), 1u);
  EXPECT_EQ(got.counts.at("skipped: too short for a pair"), 1u);
}

TEST(NetrefImport, AFolderGivesEachFileOnceInTheOrderOfTheirPaths) {
  const TemporaryFolder folder;
  folder.write("docs/b.md", "# B\n\nThe second of two documents here.\n");
  folder.write("docs/a.md", "# A\n\nThe first of two documents in here.\n");
  folder.write("docs/picture.png", "\x89PNG");
  std::filesystem::create_symlink("a.md", folder.file("docs/link.md"));
  std::filesystem::create_directory_symlink("..", folder.file("docs/loop"));
  const Imported got = import_with(domain_of("netref"), {folder.file("docs")});
  EXPECT_THAT(got.records, ElementsAre("<QUERY>A\n<ATN>\n<REF>The first of two documents in here.",
                                       "<QUERY>B\n<ATN>\n<REF>The second of two documents here."));
  EXPECT_EQ(got.counts.at("skipped files: neither manual page nor text"), 1u);
}

TEST(NetrefImport, NoRecordIsLongerThanTheModelReads) {
  const TemporaryFolder folder;
  std::string text = "# Long\n\n";
  for (int i = 0; i < 400; ++i) {
    text += "Sentence number " + std::to_string(i) + " with \xC3\xA4 word. ";
  }
  const std::string path = folder.write("long.md", text + "\n" + std::string(5000, 'x') + "\n");
  std::string all;
  for (const std::string &record :
       import_with(domain_of("netref"), {path}, {value("l_max", 100)}).records) {
    all += record + "\n\n";
  }
  data::TextDatasetOptions options;
  options.l_max = 100;
  const data::TextDataset dataset = data::encode_text_dataset(all, "long", options);
  EXPECT_GT(dataset.train.parsed, 100u);
  EXPECT_EQ(dataset.train.dropped, 0u);
}

TEST(NetrefImport, ARecordNeverFallsIntoBothPartsOfASplit) {
  const TemporaryFolder folder;
  std::string text = "# Split\n\n";
  for (int i = 0; i < 200; ++i) {
    text += "## Part " + std::to_string(i) + "\n\nWhat part " + std::to_string(i) + " says.\n\n";
  }
  const Imported got = import_with(domain_of("netref"), {folder.write("s.md", text)});
  const std::string all = pair_file(got);
  data::TextDatasetOptions options;
  options.val_split = 0.3;
  // The second half once more, in another order of files: each record falls where it fell before.
  const data::TextDataset once = data::encode_text_dataset(all, "a", options);
  const data::TextDataset twice = data::encode_text_dataset(all + all, "b", options);
  EXPECT_GT(once.val.parsed, 20u);
  EXPECT_EQ(once.train.parsed + once.val.parsed, got.records.size());
  EXPECT_EQ(twice.val.parsed, 2 * once.val.parsed);
  EXPECT_EQ(twice.train.parsed, 2 * once.train.parsed);
}

TEST(NetrefImport, BadFilesAreNamedOrCountedAndNeverCrash) {
  const TemporaryFolder folder;
  const std::string whole = gzip(kMan);
  for (const std::size_t size : {std::size_t{3}, std::size_t{20}, whole.size() - 1}) {
    const std::string path = folder.write("cut.1.gz", whole.substr(0, size));
    const Imported named = import_with(domain_of("netref"), {path});
    EXPECT_EQ(named.status, CALM_CORRUPT_DATA) << size;
    EXPECT_THAT(named.message, HasSubstr("cut.1.gz"));
  }
  folder.write("d/cut.1.gz", whole.substr(0, 40));
  EXPECT_EQ(import_with(domain_of("netref"), {folder.file("d")})
                .counts.at("skipped files: cannot be read"),
            1u);
  EXPECT_EQ(import_with(domain_of("netref"), {folder.file("missing")}).status, CALM_IO);
  EXPECT_EQ(
      import_with(domain_of("netref"), {folder.write("x.md", "x")}, {value("l_max", 0)}).status,
      CALM_INVALID_ARGUMENT);

  const std::string_view pieces[] = {".TH A 1\n",    ".SH",
                                     "\n",           "\\",
                                     "\\f",          "\\(",
                                     "\\[u",         ".if \\{",
                                     ".de",          ".ig\n",
                                     ".ds x \\*x\n", "\\*x",
                                     ".TP\n",        ".so a.1\n",
                                     ".nf",          "\"",
                                     ".Sh",          ".Dt X 1\n",
                                     ".It",          ".Op",
                                     "\xff\xfe",     std::string_view("\0", 1),
                                     "\\s",          "\\h'",
                                     "\\D",          ".Bl\n",
                                     ".el",          ".ie ",
                                     "\\}",          ".TS\n",
                                     ".Fn",          "[Page 1]",
                                     "\f",           "1. A\n",
                                     "=====\n",      "<QUERY>",
                                     "# x\n",        "```\n"};
  std::uint32_t random = 12345;
  for (int round = 0; round < 300; ++round) {
    std::string text = round % 2 == 0 ? ".TH A 1\n" : "";
    for (int i = 0; i < 60; ++i) {
      random = random * 1664525u + 1013904223u;
      text += pieces[(random >> 16) % std::size(pieces)];
    }
    for (const char *name : {"f.1", "f.md", "f.txt"}) {
      EXPECT_EQ(import_with(domain_of("netref"), {folder.write(name, text)}).status, CALM_OK)
          << text;
    }
  }
  for (const std::string &text :
       {std::string(1 << 20, '\\'), ".TH A 1\n" + std::string(1 << 20, 'x'),
        ".TH A 1\n.ds x " + std::string(1 << 20, 'y') + "\n" + std::string(4096, '\n') + "\\*x",
        std::string(".TH A 1\n.if (((((((((((\n")}) {
    EXPECT_EQ(import_with(domain_of("netref"), {folder.write("huge.1", text)}).status, CALM_OK);
  }
}

}  // namespace
}  // namespace calm::test
