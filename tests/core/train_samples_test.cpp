// What a run trains on: sequences or pairs.
#include "core/train/samples.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include <calm/cpp/error.hpp>

#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"

namespace calm::train {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;

constexpr std::int64_t kLongest = 40;

const calm_trainer &contrastive() { return model_test::runtime().plugins().trainer("contrastive"); }

Samples read(const std::string &path, std::int64_t l_max = kLongest) {
  return read_samples(model_test::runtime(), contrastive(), path, l_max);
}

std::string pair(const std::string &query, const std::string &passage) {
  return "<QUERY>" + query + "\n<REF>" + passage + "\n\n";
}

const std::string kThree = pair("first one", "a passage of more than twenty characters") +
                           pair("second one", "another passage of twenty characters") +
                           pair("third one", "the last of the three passages");

TEST(Samples, PairsKeepTheirOrderAndAreAllUsable) {
  const calm_test::TempFolder folder;
  const Samples samples = read(folder.write("p.txt", kThree));
  EXPECT_TRUE(samples.pairs());
  EXPECT_THAT(samples.usable, ElementsAre(0, 1, 2));
  EXPECT_THAT(samples.dataset.sequence(1),
              ElementsAre(257, 's', 'e', 'c', 'o', 'n', 'd', ' ', 'o', 'n', 'e', 258));
  EXPECT_EQ(samples.positives->sequence(2).size(),
            2 + std::string_view("the last of the three passages").size());
  // A passage longer than the model reads keeps its start and its end token.
  EXPECT_EQ(samples.positives->sequence(0).size(), static_cast<std::size_t>(kLongest));
  EXPECT_EQ(samples.positives->sequence(0).back(), 258);
}

TEST(Samples, ABatchOfPairsIsTheQueriesAndThenThePositives) {
  const calm_test::TempFolder folder;
  const Samples samples = read(folder.write("p.txt", kThree));
  const std::vector<std::uint32_t> which = {2, 0};
  const data::Batch batch = samples.batch(which, 16, kLongest);
  EXPECT_EQ(batch.counted, 2);
  ASSERT_EQ(batch.offsets.size(), 5u);  // no sequence but theirs, however many a batch may hold
  const auto sequence = [&batch](std::size_t i) {
    return std::vector<std::uint16_t>(batch.tokens.begin() + batch.offsets[i],
                                      batch.tokens.begin() + batch.offsets[i + 1]);
  };
  EXPECT_THAT(sequence(0), ElementsAreArray(samples.dataset.sequence(2)));
  EXPECT_THAT(sequence(1), ElementsAreArray(samples.dataset.sequence(0)));
  EXPECT_THAT(sequence(2), ElementsAreArray(samples.positives->sequence(2)));
  EXPECT_THAT(sequence(3), ElementsAreArray(samples.positives->sequence(0)));
  EXPECT_EQ(batch.rows, batch.offsets[4]);
  EXPECT_THAT(batch.targets, testing::Each(-1));
}

TEST(Samples, ALastBatchOfOnePairIsNotTaken) {
  const calm_test::TempFolder folder;
  const Samples samples = read(folder.write("p.txt", kThree));
  EXPECT_EQ(samples.taken(2), 2u);
  EXPECT_EQ(samples.taken(3), 3u);
  EXPECT_EQ(samples.taken(16), 3u);
  Samples sequences;
  sequences.usable = {0, 1, 2};
  EXPECT_EQ(sequences.taken(2), 3u);
}

TEST(Samples, TheLargestBatchHasTheMostRows) {
  const calm_test::TempFolder folder;
  const Samples samples = read(folder.write("p.txt", kThree));
  const auto rows = [&](const Samples &of, std::vector<std::uint32_t> order, std::int64_t size) {
    const auto largest = of.largest_batch(order, size, kLongest);
    return std::pair(std::vector<std::uint32_t>(largest.begin(), largest.end()),
                     of.batch(largest, size, kLongest).rows);
  };
  // 11 + 40, 12 + 39 and 11 + 32 rows.
  EXPECT_EQ(rows(samples, {2, 0, 1}, 1).second, 51);
  EXPECT_THAT(rows(samples, {2, 0, 1}, 1).first, ElementsAre(0)) << "the first of the largest";
  EXPECT_THAT(rows(samples, {2, 1, 0}, 2).first, ElementsAre(2, 1));
  EXPECT_THAT(rows(samples, {2, 1, 0}, 16).first, ElementsAre(2, 1, 0));
  EXPECT_TRUE(samples.largest_batch({}, 2, kLongest).empty());

  Samples sequences;
  sequences.dataset.offsets = {0};
  for (const std::size_t length : {9U, 41U, 43U, 30U, 12U}) {
    sequences.dataset.tokens.resize(sequences.dataset.tokens.size() + length);
    sequences.dataset.offsets.push_back(sequences.dataset.tokens.size());
    sequences.dataset.cmd_pos.push_back(0);
  }
  sequences.usable = {0, 1, 2, 3, 4};
  EXPECT_EQ(rows(sequences, {4, 2}, 1), std::pair(std::vector<std::uint32_t>{2}, kLongest));
  EXPECT_EQ(rows(sequences, {0, 3, 1, 4, 2}, 2), std::pair(std::vector<std::uint32_t>{1, 4}, 51L));
}

TEST(Samples, AnEpochHasAnOrderOfItsOwn) {
  const calm_test::TempFolder folder;
  Samples samples = read(folder.write("p.txt", kThree));
  samples.usable = {2, 5, 7, 11, 13, 17, 19, 23};
  EXPECT_EQ(samples.order(false, 1, 1), samples.usable);
  const std::vector<std::uint32_t> first = samples.order(true, 1, 1);
  EXPECT_THAT(first, testing::UnorderedElementsAreArray(samples.usable));
  EXPECT_NE(first, samples.usable);
  EXPECT_NE(first, samples.order(true, 1, 2));
  EXPECT_EQ(first, samples.order(true, 1, 1));
}

TEST(Samples, TheFingerprintIsThatOfThePairs) {
  const calm_test::TempFolder folder;
  const std::string a = read(folder.write("a.txt", kThree)).fingerprint();
  EXPECT_EQ(a, read(folder.write("b.txt", "\n\n" + kThree)).fingerprint());
  std::string other = kThree;
  other.replace(other.find("first"), 5, "worst");
  EXPECT_NE(a, read(folder.write("c.txt", other)).fingerprint());
  std::string passage = kThree;
  passage.replace(passage.find("another"), 7, "anothex");
  EXPECT_NE(a, read(folder.write("d.txt", passage)).fingerprint());
}

TEST(Samples, OddPairsAreWarnedOf) {
  const calm_test::TempFolder folder;
  const std::string path = folder.write(
      "p.txt", kThree + "<QUERY>lost one\n" + pair("kept one", "twenty characters or more of it") +
                   pair("abc", "a passage of more than twenty characters"));
  testing::internal::CaptureStderr();
  EXPECT_EQ(read(path).usable.size(), 4u);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("p.txt: line 11: a query follows another one"));
  EXPECT_THAT(said, HasSubstr("p.txt: left out 1 pairs"));
}

TEST(Samples, FewerThanTwoPairsAreRefused) {
  const calm_test::TempFolder folder;
  const std::string path =
      folder.write("p.txt", pair("only one", "a passage of more than twenty characters"));
  try {
    read(path);
    FAIL() << "expected an error";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_CORRUPT_DATA);
    EXPECT_THAT(e.what(), HasSubstr("p.txt: expected at least two pairs, found 1"));
  }
}

}  // namespace
}  // namespace calm::train
