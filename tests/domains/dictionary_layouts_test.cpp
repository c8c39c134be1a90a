// WordNet, FOLDOC and the Jargon File, as dictfmt prints them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <calm/cpp/value.hpp>

#include "tests/domains/dictd_fixture.hpp"

namespace calm::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Imported import_record(std::string_view title, std::string_view headword, std::string_view record) {
  Database database;
  if (!title.empty()) {
    database.add({"00-database-short"}, "00-database-short\n     " + std::string(title) + "\n");
  }
  database.add({std::string(headword)}, record);
  return import_database(database, "words");
}

const char kCentrifugal[] =
    "centrifugal\n"
    "    adj 1: tending to move away from a center; \"centrifugal force\"\n"
    "           [ant: {centripetal}]\n"
    "    2: tending away from centralization, as of authority; \"the\n"
    "       division of Europe into warring blocs produces ever-\n"
    "       increasing centrifugal stress\"- Anon\n"
    "    n 1: what tends so [syn: {centrifugal}, {motor(a)}]\n";

TEST(DictionaryWordNet, APartOfSpeechIsAnEntryWithItsSensesExamplesAndRelatedWords) {
  const Imported got = import_record("WordNet (r) 3.0 (2006)", "centrifugal", kCentrifugal);
  EXPECT_EQ(got.message, "");
  EXPECT_THAT(got.records, ElementsAre("<WORD>centrifugal<ATN><POS>adj.\n"
                                       "<DEF>tending to move away from a center\n"
                                       "<QUOTE>centrifugal force\n"
                                       "<DEF>Antonyms: centripetal\n"
                                       "<DEF>tending away from centralization, as of authority\n"
                                       "<QUOTE>the division of Europe into warring blocs produces "
                                       "ever-increasing centrifugal stress<BY>Anon",
                                       "<WORD>centrifugal<ATN><POS>n.\n"
                                       "<DEF>what tends so\n"
                                       "<DEF>Synonyms: motor"));
}

TEST(DictionaryWordNet, ASenseOfControlCharactersAloneIsNone) {
  const Imported got = import_record("WordNet (r) 3.0 (2006)", "cat",
                                     "cat\n    n 1: \x01\n       \x02\n    2: an animal\n");
  EXPECT_EQ(got.message, "");
  EXPECT_THAT(got.records, ElementsAre("<WORD>cat<ATN><POS>n.\n<DEF>an animal"));
}

TEST(DictionaryWordNet, ADatabaseThatSaysNothingIsKnownByItsLook) {
  EXPECT_THAT(import_record("", "centrifugal", kCentrifugal).records.front(),
              HasSubstr("<POS>adj."));
}

TEST(DictionaryFoldoc, TopicsStayAndSourcesDatesAndAddressesGo) {
  const Imported got = import_record("The Free On-line Dictionary of Computing", "actor",
                                     "actor%%%player\nplayers\n\n"
                                     "   1. <programming> /ak't*/ In {object-oriented}\n"
                                     "   programming, an {object (http://x.org/)} of its own.\n\n"
                                     "   2. <operating system> A unit.\n\n"
                                     "   It is {concurrent}.\n\n"
                                     "   {Home (http://actors.org/)}.\n\n"
                                     "   [\"Actors\", C. Hewitt, 1977].\n\n"
                                     "   (1994-11-08)\n");
  EXPECT_THAT(got.records,
              ElementsAre("<WORD>actor<ATN><IPA>ak't*\n"
                          "<DEF>(programming) In object-oriented programming, an object of its "
                          "own.\n"
                          "<DEF>(operating system) A unit.\n"
                          "<DEF>It is concurrent."));
}

TEST(DictionaryJargon, PronunciationAndPartOfSpeechLeaveTheDefinition) {
  const Imported got = import_record("The Jargon File (version 4.4.7)", "alt",
                                     "alt\n /awlt/\n\n    1. n. The alt shift key of a {clone\n"
                                     "    } keyboard.\n\n    2. n. The option key.\n");
  EXPECT_THAT(got.records, ElementsAre("<WORD>alt<ATN><POS>n.<IPA>awlt\n"
                                       "<DEF>The alt shift key of a clone keyboard.\n"
                                       "<DEF>The option key."));
}

TEST(DictionaryJargon, TheOlderLayoutIsReadToo) {
  const Imported got =
      import_record("The Jargon File", "foo", ":foo: /foo/ interj. Term of disgust. See {bar}.\n");
  EXPECT_THAT(got.records, ElementsAre("<WORD>foo<ATN><POS>interj.<IPA>foo\n"
                                       "<DEF>Term of disgust. See bar."));
}

TEST(DictionaryLayouts, NoRecordHowEverBadIsTooMuch) {
  const std::string bad[] = {"",
                             "\n\n\n",
                             "x",
                             "{",
                             "    n 1:",
                             "    n 1: ",
                             "x\n    n 1: ; \"",
                             "x\n\n   <",
                             "/",
                             ":",
                             ":a:",
                             "x\n /y",
                             std::string(70000, '{'),
                             std::string(70000, '\n'),
                             std::string(3, '\0') + "\xff\xfe",
                             "x\n    n 1: a [syn: {",
                             "x\n    99999999999999999999: y"};
  for (const char *title : {"WordNet", "Dictionary of Computing", "Jargon File", ""}) {
    for (const std::string &record : bad) {
      EXPECT_EQ(import_record(title, "x", record).status, CALM_OK) << title << ": " << record;
    }
  }
}

}  // namespace
}  // namespace calm::test
