// GCIDE's record layout. The entries are Webster's of 1913, or made up in the later hands' style.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <calm/cpp/value.hpp>
#include <filesystem>

#include "core/data/text_sequence.hpp"
#include "core/text/utf8.hpp"
#include "tests/domains/dictd_fixture.hpp"

namespace calm::test {
namespace {

using testing::ElementsAre;

void expect_entry(std::string_view record, const std::string &expected) {
  const Imported got = import_gcide(record);
  EXPECT_EQ(got.message, "");
  EXPECT_THAT(got.records, ElementsAre(expected));
}

// Whether the encoder finds one entry, every line of it, and a sequence that nano can read.
bool encodes_whole(const std::string &record) {
  const std::vector<data::DictionaryEntry> entries = data::parse_dictionary(record);
  if (entries.size() != 1) {
    return false;
  }
  std::ptrdiff_t lines = 0;
  for (const data::Definition &definition : entries.front().definitions) {
    lines += 1 + static_cast<std::ptrdiff_t>(definition.quotes.size());
  }
  data::SequenceBuffer sequence;
  data::append_entry(entries.front(), sequence);
  return sequence.tokens().size() <= 768 && lines == std::count(record.begin(), record.end(), '\n');
}

TEST(Gcide, SensesQuotationsAndSynonymsOfAVerb) {
  expect_entry(
      R"(Arraign \Ar*raign"\, v. t. [imp. & p. p. {Arraigned}; p. pr. &
   vb. n. {Arraigning}.] [OE. arainen, F. arraisonner. See
   {Reason}.]
   1. (Law) To call or set as a prisoner at the bar of a court
      to answer to the matter charged in an indictment or
      complaint. --Blackstone.
      [1913 Webster]

   2. To call to account, or accuse, before the bar of reason,
      taste, or any other tribunal.
      [1913 Webster]

            They will not arraign you for want of knowledge.
                                                  --Dryden.
      [1913 Webster]

   Syn: To accuse; impeach; charge; censure; criminate; indict;
        denounce. See {Accuse}.
        [1913 Webster]
)",
      R"(<WORD>Arraign<ATN><POS>v. t.<NOTE>imp. & p. p. Arraigned; p. pr. & vb. n. Arraigning. OE. arainen, F. arraisonner. See Reason.<IPA>Ar*raign"
<DEF>(Law) To call or set as a prisoner at the bar of a court to answer to the matter charged in an indictment or complaint.
<DEF>To call to account, or accuse, before the bar of reason, taste, or any other tribunal.
<QUOTE>They will not arraign you for want of knowledge.<BY>Dryden.
<DEF>Syn: To accuse; impeach; charge; censure; criminate; indict; denounce. See Accuse.)");
}

TEST(Gcide, AnUnnumberedDefinitionWithAVariantAndTheNextHeadwordLeftBehind) {
  expect_entry(
      R"(Arpent \Ar"pent\, Arpen \Ar"pen\, n. [F. arpent, fr. L.
   arepennis.]
   Formerly, a measure of land in France, varying in different
   parts of the country.
   [1913 Webster] Arpentator
)",
      "<WORD>Arpent<ATN><POS>n.<NOTE>also Arpen. F. arpent, fr. L. arepennis.<IPA>Ar\"pent\n"
      "<DEF>Formerly, a measure of land in France, varying in different parts of the country.");
}

TEST(Gcide, APronunciationInParenthesesAPluralAndASubject) {
  expect_entry(
      R"(Apsis \Ap"sis\ ([a^]p"s[i^]s), n.; pl. {Apsides}
   ([a^]p"s[i^]*d[=e]z). [L. apsis, a tying. Cf. {Apse}.] (Math.)
   In a curve referred to polar co["o]rdinates, any point for
   which the radius vector is a maximum or minimum.
   [1913 Webster]
)",
      "<WORD>Apsis<ATN><POS>n.<NOTE>pl. Apsides. L. apsis, a tying. Cf. Apse.<IPA>Ap\"sis\n"
      "<DEF>(Math.) In a curve referred to polar co\u00f6rdinates, any point for which the "
      "radius vector is a maximum or minimum.");
}

TEST(Gcide, SubSensesStayTogetherAndPhrasesAndDerivedFormsAreTold) {
  expect_entry(R"(Array \Ar*ray"\, n. [OE. arai, OF. arrai.]
   1. (Law)
      (a) A ranking or setting forth in order, by the proper
          officer, of a jury. --Cowell.
      (b) The panel itself.
          [1913 Webster]

   {To challenge the array} (Law), to except to the whole panel.
      --Cowell. --Tomlins. --Blount.
      [1913 Webster] -- {Ar*ray"ed*ly}, adv.
)",
               R"(<WORD>Array<ATN><POS>n.<NOTE>OE. arai, OF. arrai.<IPA>Ar*ray"
<DEF>(Law) (a) A ranking or setting forth in order, by the proper officer, of a jury. (b) The panel itself.
<DEF>To challenge the array (Law), to except to the whole panel.)");
}

TEST(Gcide, ASubjectOfTheWholeEntryStandsBeforeTheFirstSense) {
  expect_entry(R"(Anchor \An"chor\, n. (Naut.)
   1. An iron instrument.
      [1913 Webster]

   2. Hence: That which gives stability.
      [1913 Webster]
)",
               "<WORD>Anchor<ATN><POS>n.<IPA>An\"chor\n<DEF>(Naut.) An iron instrument.\n"
               "<DEF>Hence: That which gives stability.");
}

TEST(Gcide, LaterHandsNumberTwiceAndLinkRelatedWords) {
  expect_entry(R"(tidy \tidy\ adj.
   1. 1 put or kept in order; as, a tidy room. {clean},
      {neat}
      [WordNet 1.5]

   Syn: orderly
        [WordNet 1.5]

   2. fairly large. [Narrower terms: {large (vs. small)}] [WordNet
      1.5 +PJC]
)",
               "<WORD>tidy<ATN><POS>adj.\n<DEF>put or kept in order; as, a tidy room.\n"
               "<DEF>Syn: orderly\n<DEF>fairly large.");
}

TEST(Gcide, AnInflectedFormIsDefinedByItsPartOfSpeech) {
  expect_entry("Borne \\Borne\\,\n   p. p. of {Bear}. Carried; conveyed.\n   [1913 Webster]\n",
               "<WORD>Borne<ATN><POS>p. p.\n<DEF>p. p. of Bear. Carried; conveyed.");
}

TEST(Gcide, AQuotationWithoutAnAuthorIsLeftOut) {
  expect_entry(R"(Fine \Fine\, a.
   Good.

         Words of nobody in particular.

         A fine day -- the best of days.  --Anon. [1913 Webster]
)",
               "<WORD>Fine<ATN><POS>a.\n<DEF>Good.\n"
               "<QUOTE>A fine day -- the best of days.<BY>Anon.");
}

TEST(Gcide, ARecordMayBeginWithTheEndOfAnotherEntryAndHoldTwo) {
  const Imported got = import_gcide(R"(
[1913 Webster]

   {Gag rein} (Harness), a rein.
      [1913 Webster]

gaga \gaga\ adj.
   infirm with age.
   [WordNet 1.5]

Gage \Gage\, n.
   A pledge.
   [1913 Webster]
)");
  EXPECT_THAT(got.records, ElementsAre("<WORD>gaga<ATN><POS>adj.\n<DEF>infirm with age.",
                                       "<WORD>Gage<ATN><POS>n.\n<DEF>A pledge."));
}

TEST(Gcide, ARecordWithoutADefinitionIsCounted) {
  const Imported got = import_gcide("Axal \\Ax\"al\\, a. [See {Axial}.] [R.]\n   [1913 Webster]\n");
  EXPECT_TRUE(got.records.empty());
  EXPECT_EQ(got.counts.at("skipped: no definition"), 1u);
  EXPECT_EQ(import_gcide("no headword here\n").counts.at("skipped: no entry in the record"), 1u);
}

TEST(Gcide, WhatDoesNotFitIsLeftOutFromTheLeastImportantOn) {
  const std::string_view record = R"(Word \Word\, n.
   1. The first sense, which is kept.
      [1913 Webster]

            A quotation which is too long to stay with it.
                                                  --Nobody.

   {A phrase}, also too long for the room that is there.

   2. The second.
      [1913 Webster]
)";
  // BOS WORD 4 ATN POS 2 END, DEF 31 END, DEF 11 END, EOS: 58 tokens
  const std::string both =
      "<WORD>Word<ATN><POS>n.\n<DEF>The first sense, which is kept.\n<DEF>The second.";
  EXPECT_THAT(import_gcide(record, {value("l_max", 58)}).records, ElementsAre(both));
  const std::string one = "<WORD>Word<ATN><POS>n.\n<DEF>The first sense, which is kept.";
  EXPECT_THAT(import_gcide(record, {value("l_max", 57)}).records, ElementsAre(one));
  EXPECT_EQ(import_gcide(record, {value("l_max", 768)}).counts.at("shortened to fit l_max"), 0u);
}

// Debian's dict-gcide, where it is installed.
TEST(Gcide, TheWholeDictionaryGivesAHundredThousandEntriesThatAllEncode) {
  const std::string index = "/usr/share/dictd/gcide.index";
  if (!std::filesystem::exists(index)) {
    GTEST_SKIP() << "dict-gcide is not installed";
  }
  const Imported got = import_sources({index});
  EXPECT_EQ(got.message, "");
  EXPECT_GE(got.records.size(), 100000u);
  const auto refused = std::count_if(got.records.begin(), got.records.end(),
                                     [](const std::string &r) { return !encodes_whole(r); });
  EXPECT_EQ(refused, 0);
}

TEST(Gcide, OddLayoutsNeverBreakTheReader) {
  const std::string_view odd[] = {
      "",
      "\n",
      "\\",
      "\\\\",
      "a \\",
      "a \\b",
      "a \\b\\",
      "a \\b\\ [",
      "a \\b\\ (",
      "a \\b\\ (\"",
      "a \\b\\, n.; pl. {",
      "a \\b\\, n.; pl. {x} (\"",
      "a \\b\\, c \\",
      "a \\b\\ n.\n   1.",
      "a \\b\\ n.\n   1. \n   2",
      "a \\b\\ n.\n   1. x --",
      "a \\b\\ n.\n   x -- {",
      "a \\b\\ n.\n   x -- {y",
      "a \\b\\ n.\n   x -- {y}, (",
      "a \\b\\ n.\n   x [",
      "a \\b\\ n.\n   x ]",
      "a \\b\\ n.\n   x [1913 Webster",
      "a \\b\\ n.\n   Webster]",
      "a \\b\\ n.\n   [Narrower terms: {",
      "a \\b\\ n.\n   x {y} [WordNet 1.5] {",
      "a \\b\\ n.\n   x\n\n         --",
      "a \\b\\ n.\n   x\n\n         --A",
      "a \\b\\ n.\n   x\n\n            (a",
      "-- {\n--",
  };
  for (const std::string_view record : odd) {
    EXPECT_EQ(import_gcide(record).status, CALM_OK) << record;
  }
}

// Found by fuzzing: a list of forms was cut after so many bytes.
TEST(Gcide, ALongListOfFormsIsNotCutInsideALetter) {
  for (std::size_t before = 225; before < 245; ++before) {
    std::string record = "Dog \\Dog\\, n.; pl. {Dogs}:" + std::string(before, 'x');
    for (int i = 0; i < 30; ++i) {
      record += "\u00e9";
    }
    const Imported got = import_gcide(record);
    ASSERT_EQ(got.status, CALM_OK);
    for (const std::string &entry : got.records) {
      EXPECT_FALSE(text::find_invalid_utf8(entry)) << before << ": " << entry;
    }
  }
}

}  // namespace
}  // namespace calm::test
