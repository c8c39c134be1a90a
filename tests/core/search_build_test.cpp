#include "core/search/build.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/search/search.hpp"
#include "core/search/sources.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/search_fixture.hpp"

namespace calm::search {
namespace {

using model_test::runtime;
using testing::HasSubstr;
using Access = Database::Access;

const std::string kModel = std::string(CALM_TEST_DATA) + "/parity/data/pico.cwgt";
const std::string kPairs =
    "<QUERY>how to copy files\n<REF>cp copies files and directories.\n\n"
    "<QUERY>remove a file\n<REF>rm removes files; it does not ask.\nSecond line.\n\n"
    "<QUERY>delete a file\n<REF>rm removes files; it does not ask.\nSecond line.\n\n";

class Building : public testing::Test {
 protected:
  Workshop words() { return {&runtime(), nullptr, {}}; }
  Workshop vectors() { return {&runtime(), encoder(), {}}; }
  Encoder *encoder() {
    if (!encoder_) {
      session_ = model_test::reference();
      encoder_ = std::make_unique<Encoder>(runtime(), *session_, kModel, "mean");
    }
    return encoder_.get();
  }
  Changes add(const Workshop &workshop, const std::string &source) {
    Index index(idx_, Access::kWrite);
    return add_sources(workshop, index, std::vector<std::string>{source});
  }
  Changes build(const Workshop &workshop, const std::string &source) {
    return build_index(workshop, idx_, std::vector<std::string>{source});
  }
  Totals totals() { return Index(idx_, Access::kRead).totals(); }
  calm_status status_of(const std::function<void()> &action) {
    try {
      action();
    } catch (const Error &e) {
      message_ = e.what();
      return e.status();
    }
    return CALM_OK;
  }

  calm_test::TempFolder folder_;
  std::string idx_ = folder_.path("x.idx");
  std::string message_;
  std::unique_ptr<run::Session> session_;
  std::unique_ptr<Encoder> encoder_;
};

TEST_F(Building, AFolderIsReadInOrderAndWhatIsNoTextIsLeftOut) {
  std::filesystem::create_directories(folder_.path("d/sub"));
  folder_.write("d/b.txt", "bees\n\nHEADING\n\nbuzz");
  folder_.write("d/sub/a.txt", "ants");
  folder_.write("d/picture", std::string("\x89PNG\0\xff", 6));
  folder_.write("d/zero", std::string("text\0", 5));
  std::filesystem::create_symlink(folder_.path("d/b.txt"), folder_.path("d/link.txt"));
  const Changes changes = build(words(), folder_.path("d"));
  EXPECT_EQ(changes.added, 2u);
  EXPECT_EQ(changes.skipped, 2u);
  EXPECT_EQ(changes.passages, 3u);
  const Index index(idx_, Access::kRead);
  EXPECT_FALSE(index.model());
  EXPECT_EQ(index.passage(1).text, "bees");
  EXPECT_EQ(index.passage(2).section, "HEADING");
  EXPECT_EQ(index.passage(3).source, folder_.path("d/sub/a.txt"));
}

TEST_F(Building, WhatWasNamedMustBeTextAndBeThere) {
  folder_.write("binary", "abc\xff");
  EXPECT_EQ(status_of([&] { build(words(), folder_.path("binary")); }), CALM_CORRUPT_DATA);
  EXPECT_THAT(message_, HasSubstr("binary: offset 3: expected UTF-8 text"));
  EXPECT_EQ(status_of([&] { build(words(), folder_.path("none")); }), CALM_IO);
  std::filesystem::resize_file(folder_.write("huge", ""), kLargestSource + 1);
  EXPECT_EQ(status_of([&] { build(words(), folder_.path("huge")); }), CALM_CORRUPT_DATA);
  EXPECT_EQ(folder_.entries(), 2u) << "an index or a temporary was left";
}

TEST_F(Building, PairsAreKeptWholeWithTheirQueryAsSectionAndEqualOnesOnce) {
  const std::string text =
      std::string("<QUERY>a long passage\n<REF>") + std::string(900, 'x') + "\n";
  build(words(), folder_.write("pairs.txt", kPairs + text));
  const Index index(idx_, Access::kRead);
  EXPECT_EQ(index.totals().passages, 3);
  EXPECT_EQ(index.passage(2).section, "remove a file");
  EXPECT_EQ(index.passage(2).text, "rm removes files; it does not ask.\nSecond line.");
  EXPECT_EQ(index.passage(3).text, std::string(900, 'x'));
  // Their queries would give themselves away.
  EXPECT_TRUE(search(index, {}, "how remove", Mode::kBm25, 10).size() == 1);
}

TEST_F(Building, ManualsAreCutByTheDomain) {
  folder_.write("frob.1",
                ".TH FROB 1 2024-01-01\n.SH NAME\nfrob \\- frobnicate the widgets\n.SH OPTIONS\n"
                ".TP\n.B \\-\\-quickly\nDo it in less time than it usually takes to do it.\n");
  build(words(), folder_.path("frob.1"));
  const Index index(idx_, Access::kRead);
  const std::vector<Result> found = search(index, {}, "usually quickly", Mode::kBm25, 3);
  ASSERT_FALSE(found.empty());
  const StoredPassage passage = index.passage(found[0].passage);
  EXPECT_EQ(passage.title, "frob(1)");
  EXPECT_THAT(passage.section, HasSubstr("--quickly"));
  EXPECT_THAT(passage.text, HasSubstr("Do it in less time than it usually takes"));
  EXPECT_EQ(index.documents()[0].document.kind, "netref");
}

TEST_F(Building, AddingSkipsWhatIsUnchangedAndReplacesWhatIsNot) {
  build(words(), folder_.write("a.txt", "about cats"));
  EXPECT_EQ(add(words(), folder_.path("a.txt")).unchanged, 1u);
  folder_.write("a.txt", "about dogs");
  const Changes changes = add(words(), folder_.path("a.txt"));
  EXPECT_EQ(changes.replaced, 1u);
  EXPECT_EQ(totals().documents, 1);
  EXPECT_EQ(totals().passages, 1);
  const Index index(idx_, Access::kRead);
  EXPECT_TRUE(search(index, {}, "cats", Mode::kBm25, 10).empty());
  EXPECT_EQ(search(index, {}, "dogs", Mode::kBm25, 10).size(), 1u);
}

TEST_F(Building, AFailedAdditionChangesNothing) {
  build(words(), folder_.write("a.txt", "about cats"));
  const std::string before = calm_test::read_bytes(idx_);
  folder_.write("b.txt", "fine");
  folder_.write("c.txt", "\xff");
  EXPECT_EQ(status_of([&] {
              Index index(idx_, Access::kWrite);
              add_sources(words(), index,
                          std::vector<std::string>{folder_.path("b.txt"), folder_.path("c.txt")});
            }),
            CALM_CORRUPT_DATA);
  EXPECT_EQ(calm_test::read_bytes(idx_), before);
}

TEST_F(Building, RemovesASourceOrAllBelowAFolder) {
  std::filesystem::create_directories(folder_.path("d/sub"));
  folder_.write("d/a.txt", "ants");
  folder_.write("d/sub/b.txt", "bees");
  folder_.write("dab.txt", "cats");
  build_index(words(), idx_, std::vector<std::string>{folder_.path("d"), folder_.path("dab.txt")});
  std::filesystem::remove_all(folder_.path("d"));
  const auto remove = [&](const std::string &source) {
    Index index(idx_, Access::kWrite);
    return remove_sources(index, std::vector<std::string>{source});
  };
  EXPECT_EQ(status_of([&] { remove(folder_.path("nothing")); }), CALM_NOT_FOUND);
  EXPECT_EQ(totals().documents, 3);
  EXPECT_EQ(remove(folder_.path("d/sub/b.txt")).removed, 1u);
  EXPECT_EQ(remove(folder_.path("d/")).removed, 1u);
  EXPECT_EQ(totals().documents, 1);
}

TEST_F(Building, BuildingAgainReplacesAnIndexAndNothingElse) {
  folder_.write("a.txt", "about cats");
  build(words(), folder_.path("a.txt"));
  folder_.write("a.txt", "about dogs");
  EXPECT_EQ(build(words(), folder_.path("a.txt")).added, 1u);
  EXPECT_EQ(totals().documents, 1);
  folder_.write("x.idx", "my precious notes, no index at all");
  EXPECT_EQ(status_of([&] { build(words(), folder_.path("a.txt")); }), CALM_CORRUPT_DATA);
  EXPECT_EQ(calm_test::read_bytes(idx_), "my precious notes, no index at all");
  EXPECT_EQ(folder_.entries(), 2u);
}

TEST_F(Building, SourcesWithoutAPassageReplaceNothing) {
  build(words(), folder_.write("a.txt", "about cats"));
  const std::string before = calm_test::read_bytes(idx_);
  folder_.write("blank.txt", "\n\n");
  EXPECT_EQ(status_of([&] { build(words(), folder_.path("blank.txt")); }), CALM_FAILED);
  EXPECT_THAT(message_, HasSubstr("nothing was written"));
  EXPECT_EQ(calm_test::read_bytes(idx_), before);
  EXPECT_EQ(folder_.entries(), 3u);
}

TEST_F(Building, AnIndexThatIsBeingChangedIsNotReplaced) {
  build(words(), folder_.write("a.txt", "about cats"));
  const Index other(idx_, Access::kWrite);
  EXPECT_EQ(status_of([&] { build(words(), folder_.path("a.txt")); }), CALM_BUSY);
}

TEST_F(Building, EveryModeFindsThePassageOfAnEqualText) {
  const std::string text = "rm removes files; it does not ask.\nSecond line.";
  build(vectors(), folder_.write("pairs.txt", kPairs));
  const Index index(idx_, Access::kRead);
  EXPECT_EQ(index.totals().vectors, 2);
  VectorScan scan(*session_, runtime().operators(), encoder()->info().dimension);
  const VectorSide side{encoder(), &scan};
  for (const Mode mode : {Mode::kVector, Mode::kBm25, Mode::kHybrid}) {
    const std::vector<Result> found = search(index, side, text, mode, 5);
    ASSERT_FALSE(found.empty());
    EXPECT_EQ(index.passage(found[0].passage).text, text) << mode_name(mode);
  }
  // The same text has the same vector.
  EXPECT_NEAR(*search(index, side, text, Mode::kVector, 1)[0].vector, 1.0, 1e-5);
}

TEST_F(Building, ReportsRecallAndReciprocalRankOfEveryMode) {
  build(vectors(), folder_.write("pairs.txt", kPairs));
  const Index index(idx_, Access::kRead);
  VectorScan scan(*session_, runtime().operators(), encoder()->info().dimension);
  const std::vector<data::TextPair> pairs = {
      {"cp copies files and directories.", "cp copies files and directories."},
      {"files", "rm removes files; it does not ask.\nSecond line."},
      {"files", "not in the index at all"},
      {"nonsense", "cp copies files and directories."}};
  const std::vector<Mode> modes = {Mode::kBm25, Mode::kVector};
  const Evaluation found = evaluate(index, {encoder(), &scan}, pairs, modes, 1);
  EXPECT_EQ(found.queries, 4u);
  EXPECT_EQ(found.absent, 1u);
  // BM25 finds the first; "files" is in both, and the shorter passage, another, comes first.
  EXPECT_DOUBLE_EQ(found.modes[0].recall, 0.25);
  EXPECT_DOUBLE_EQ(found.modes[0].mrr, (1 + 0.5) / 4);
  // Two passages in all: a vector search has each at rank 1 or 2.
  EXPECT_GE(found.modes[1].mrr, (1 + 0.5 + 0.5) / 4);
}

TEST_F(Building, AnotherModelIsRefusedUntilTheVectorsAreRebuilt) {
  build(vectors(), folder_.write("a.txt", "about cats\n\nTWO WORDS\n\nand dogs"));
  Encoder other(runtime(), *session_, std::string(CALM_TEST_DATA) + "/parity/data/pico_eos.cwgt",
                "last");
  ASSERT_NE(other.info().sha256, encoder()->info().sha256);
  const Workshop workshop{&runtime(), &other, {}};
  EXPECT_EQ(status_of([&] { add(workshop, folder_.path("a.txt")); }), CALM_INVALID_ARGUMENT);
  EXPECT_THAT(message_, HasSubstr("calm index rebuild"));
  {
    Index index(idx_, Access::kWrite);
    EXPECT_EQ(rebuild_vectors(workshop, index).passages, 2u);
  }
  const Index index(idx_, Access::kRead);
  EXPECT_EQ(index.model()->sha256, other.info().sha256);
  EXPECT_EQ(index.model()->pooling, "last");
  std::vector<std::int64_t> ids;
  std::vector<float> rows;
  index.read_vectors(0, 10, ids, rows);
  const std::vector<std::string_view> texts = {"about cats", "and dogs"};
  EXPECT_EQ(rows, other.embed(texts));
}

TEST_F(Building, TheIdentityOfAModelIsThatOfItsParameters) {
  const std::string copy = folder_.path("copy.cwgt");
  std::filesystem::copy_file(kModel, copy);
  const ModelInfo info = Encoder(runtime(), *model_test::reference(), copy, "mean").info();
  EXPECT_EQ(info.sha256, encoder()->info().sha256);
  EXPECT_EQ(info.path, copy);
  EXPECT_EQ(info.dimension, 32);
}

}  // namespace
}  // namespace calm::search
