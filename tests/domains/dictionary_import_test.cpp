// The container: files, gzip, index, the generic record parser.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <calm/cpp/value.hpp>

#include "tests/domains/dictd_fixture.hpp"

namespace calm::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Database two_words() {
  Database database;
  database.add({"cat", "pussy"}, "cat\n   A small animal\n   that purrs.\n");
  database.add({"dog"}, "dog\n   Another.\n");
  return database;
}

const char kCat[] = "<WORD>cat<ATN>\n<DEF>A small animal that purrs.";
const char kDog[] = "<WORD>dog<ATN>\n<DEF>Another.";

TEST(DictionaryDomain, CarriesTheDefaultsOfItsDomain) {
  const calm_domain &domain = dictionary();
  EXPECT_EQ(view(domain.template_spec), "BOS;WORD:input/ATN/POS:pos/NOTE:note/IPA:ipa");
  EXPECT_EQ(view(domain.stop_conditions), "");
  EXPECT_EQ(domain.sampler->temperature, 0.2);
  EXPECT_EQ(domain.sampler->top_k, 5u);
  EXPECT_EQ(domain.sampler->max_tokens, 512u);
}

TEST(DictionaryImport, AnUnknownDatabaseGivesTheWholeRecordAsOneDefinition) {
  const Imported got = import_database(two_words(), "pets");
  EXPECT_EQ(got.message, "");
  EXPECT_THAT(got.records, ElementsAre(kCat, kDog));
  EXPECT_EQ(got.counts.at("records"), 2u);
  EXPECT_EQ(got.counts.at("entries"), 2u);
}

TEST(DictionaryImport, AnyOfTheFileNamesFindsTheDatabaseAndItIsReadOnce) {
  const TemporaryFolder folder;
  const Database pets = two_words();
  const std::string text = folder.write("pets.dict.dz", gzip(pets.text));
  const std::string index = folder.write("pets.index", pets.index);
  for (const std::string &source : {text, index, folder.file("pets")}) {
    EXPECT_THAT(import_sources({source}).records, ElementsAre(kCat, kDog)) << source;
  }
  EXPECT_EQ(import_sources({text, index, folder.file("pets")}).records.size(), 2u);
}

TEST(DictionaryImport, APlainTextWorksLikeACompressedOne) {
  const TemporaryFolder folder;
  const Database pets = two_words();
  const std::string text = folder.write("pets.dict", pets.text);
  const std::string index = folder.write("pets.index", pets.index);
  EXPECT_THAT(import_sources({text}).records, ElementsAre(kCat, kDog));
  EXPECT_THAT(import_sources({index}).records, ElementsAre(kCat, kDog));
}

TEST(DictionaryImport, TheSameInputGivesTheSameRecordsInTheOrderOfTheText) {
  Database database = two_words();
  database.index = "dog\t" + base64(36) + "\t" + base64(16) + "\n" + "cat\tA\tj\n";
  const Imported first = import_database(database, "pets");
  const Imported second = import_database(database, "pets");
  ASSERT_EQ(first.records.size(), 2u) << first.message;
  EXPECT_THAT(first.records[0], HasSubstr("<WORD>cat"));
  EXPECT_EQ(first.records, second.records);
}

TEST(DictionaryImport, WhatADatabaseSaysAboutItselfIsLeftOut) {
  Database database;
  database.add({"00-database-short", "00-pets-short"}, "00-database-short\n   Pets\n");
  database.add({"00databaseurl"}, "00databaseurl\n   somewhere\n");
  database.add({"dog"}, "dog\n   Another.\n");
  EXPECT_THAT(import_database(database, "pets").records, ElementsAre(kDog));
}

TEST(DictionaryImport, ATextLongerThanOneBlockIsWhole) {
  Database database;
  for (int i = 0; i < 5000; ++i) {
    const std::string word = "word" + std::to_string(i);
    database.add({word}, word + "\n   The definition of number " + std::to_string(i) + ".\n");
  }
  const Imported got = import_database(database, "numbers");
  ASSERT_EQ(got.records.size(), 5000u);
  EXPECT_EQ(got.records[4999], "<WORD>word4999<ATN>\n<DEF>The definition of number 4999.");
}

TEST(DictionaryImport, EveryTruncatedLengthOfTheTextIsRefused) {
  const TemporaryFolder folder;
  const Database pets = two_words();
  const std::string whole = gzip(pets.text);
  const std::string index = folder.write("pets.index", pets.index);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const std::string text = folder.write("pets.dict.dz", std::string_view(whole).substr(0, n));
    const Imported got = import_sources({text});
    EXPECT_EQ(got.status, CALM_CORRUPT_DATA) << n;
    EXPECT_THAT(got.message, HasSubstr("pets.dict.dz: ")) << n;
  }
}

TEST(DictionaryImport, AWrongByteInTheTextIsRefused) {
  const TemporaryFolder folder;
  const Database pets = two_words();
  const std::string whole = gzip(pets.text);
  const std::string index = folder.write("pets.index", pets.index);
  // Magic, method, block header, contents, CRC, length.
  for (const std::size_t at : {std::size_t{0}, std::size_t{2}, std::size_t{26}, std::size_t{40},
                               whole.size() - 8, whole.size() - 1}) {
    std::string broken = whole;
    broken[at] = static_cast<char>(broken[at] ^ 0x55);
    const std::string text = folder.write("pets.dict.dz", broken);
    EXPECT_EQ(import_sources({text}).status, CALM_CORRUPT_DATA) << at;
  }
  const std::string longer = folder.write("pets.dict.dz", whole + "more");
  EXPECT_EQ(import_sources({longer}).status, CALM_CORRUPT_DATA);
}

TEST(DictionaryImport, ABadIndexLineIsRefusedByItsNumber) {
  const TemporaryFolder folder;
  folder.write("pets.dict.dz", gzip(two_words().text));
  for (const std::string line : {"", "cat", "cat\t", "cat\tA", "cat\tA\t", "cat\tA\t!", "cat\t-\tA",
                                 "cat\tA\tB C", "cat\tAA\t//////////////////////", "\xff\xfe"}) {
    const std::string index = folder.write("pets.index", "cat\tA\tj\n" + line + "\n");
    const Imported got = import_sources({index});
    EXPECT_EQ(got.status, CALM_CORRUPT_DATA) << line;
    EXPECT_THAT(got.message, HasSubstr("pets.index: line 2: expected headword")) << line;
    EXPECT_TRUE(got.records.empty());
  }
}

TEST(DictionaryImport, ARangeOutsideTheTextIsRefused) {
  const TemporaryFolder folder;
  const Database pets = two_words();
  folder.write("pets.dict.dz", gzip(pets.text));
  const std::uint64_t size = pets.text.size();
  const std::pair<std::uint64_t, std::uint64_t> ranges[] = {
      {0, size + 1}, {size, 1}, {size + 1, 0}, {1, size}, {(1ull << 36) - 1, (1ull << 36) - 1}};
  for (const auto &[offset, length] : ranges) {
    const std::string index =
        folder.write("pets.index", "cat\t" + base64(offset) + "\t" + base64(length) + "\n");
    const Imported got = import_sources({index});
    EXPECT_EQ(got.status, CALM_CORRUPT_DATA) << offset << " " << length;
    EXPECT_THAT(got.message, HasSubstr("line 1: expected a record within the text"));
  }
  const std::string last =
      folder.write("pets.index", "cat\t" + base64(0) + "\t" + base64(size) + "\n");
  EXPECT_EQ(import_sources({last}).status, CALM_OK);
}

TEST(DictionaryImport, AnEmptyIndexIsRefused) {
  const TemporaryFolder folder;
  folder.write("pets.dict.dz", gzip("text"));
  EXPECT_EQ(import_sources({folder.write("pets.index", "")}).status, CALM_CORRUPT_DATA);
}

TEST(DictionaryImport, AMissingPartnerIsNamed) {
  const TemporaryFolder folder;
  const std::string index = folder.write("pets.index", "cat\tA\tA\n");
  EXPECT_THAT(import_sources({index}).message, HasSubstr("pets.dict.dz"));
  EXPECT_EQ(import_sources({index}).status, CALM_IO);
  EXPECT_THAT(import_sources({folder.file("birds.dict")}).message, HasSubstr("birds.index"));
}

TEST(DictionaryImport, TagsInTheTextCannotForgeFieldsOrEntries) {
  Database database;
  database.add(
      {"<WORD>evil<DEF>"},
      "<WORD>evil<DEF>\n<DEF>one <BY>two\n\n<WORD>other<ATN>\n<DEF>three <3 <<DEF>> <b>\n");
  EXPECT_THAT(import_database(database, "pets").records,
              ElementsAre("<WORD>[WORD]evil[DEF]<ATN>\n"
                          "<DEF>[DEF]one [BY]two [WORD]other[ATN] [DEF]three <3 <[DEF]> <b>"));
}

TEST(DictionaryImport, ControlCharactersAndLineEndsBecomeBlanks) {
  Database database;
  constexpr char kText[] = "cat\r\n\ta\x01\x1b[31m\v small\0animal \r\n\r\n";
  database.add({"cat"}, std::string_view(kText, sizeof kText - 1));
  EXPECT_THAT(import_database(database, "pets").records,
              ElementsAre("<WORD>cat<ATN>\n<DEF>a [31m small animal"));
}

TEST(DictionaryImport, InvalidUtf8IsRepaired) {
  const std::pair<std::string, std::string> cases[] = {
      {"fa\xe7ut", "fa\u00e7ut"},                      // a letter in a word
      {"market\x92s", "market\u2019s"},                // Windows-1252 quotation mark
      {"haven\xb9t", "haven\ufffdt"},                  // makes no sense
      {"20 \xb0 C", "20 \u00b0 C"},                    // a sign
      {"cr\xe9\xe9", "cr\u00e9\u00e9"},                // two letters
      {"a \xe2\x82 b", "a \ufffd b"},                  // a torn euro sign
      {"a \xed\xa0\x80 b", "a \ufffd\ufffd\ufffd b"},  // a surrogate
      {"a \xc0\xaf b", "a \ufffd\ufffd b"},            // overlong
      {"a \xf4\x90\x80\x80 b", "a \ufffd\ufffd\ufffd\ufffd b"},
      {"\xe9", "\ufffd"},  // alone
      {"na\u00efve \u20ac \U0001f600", "na\u00efve \u20ac \U0001f600"},
  };
  for (const auto &[raw, repaired] : cases) {
    Database database;
    database.add({"w"}, "w\n   x " + raw + " y.\n");
    const Imported got = import_database(database, "pets");
    EXPECT_THAT(got.records, ElementsAre("<WORD>w<ATN>\n<DEF>x " + repaired + " y."));
    EXPECT_EQ(got.counts.at("records with repaired UTF-8"), raw == repaired ? 0u : 1u) << raw;
  }
}

TEST(DictionaryImport, ALongDefinitionIsCutAtASentence) {
  Database database;
  std::string body = "long\n";
  for (int i = 0; i < 100; ++i) {
    body += "   Sentence number " + std::to_string(i) + ".\n";
  }
  database.add({"long"}, body);
  const Imported got = import_database(database, "pets", {value("l_max", 100)});
  EXPECT_THAT(got.records,
              ElementsAre("<WORD>long<ATN>\n<DEF>Sentence number 0. Sentence number 1. "
                          "Sentence number 2. Sentence number 3."));
  EXPECT_EQ(got.counts.at("shortened to fit l_max"), 1u);
}

TEST(DictionaryImport, ARecordThatCannotFitIsCounted) {
  Database database;
  database.add({std::string(90, 'w')}, std::string(90, 'w') + "\n   Something said about it.\n");
  const Imported got = import_database(database, "pets", {value("l_max", 100)});
  EXPECT_TRUE(got.records.empty());
  EXPECT_EQ(got.counts.at("skipped: too long for l_max"), 1u);
}

TEST(DictionaryImport, AnUnknownOptionIsRefused) {
  EXPECT_EQ(import_database(two_words(), "pets", {value("lmax", 100)}).status,
            CALM_INVALID_ARGUMENT);
  EXPECT_EQ(import_database(two_words(), "pets", {value("l_max", 0)}).status,
            CALM_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace calm::test
