#include "core/search/index.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/search/query.hpp"
#include "tests/core/search_fixture.hpp"

namespace calm::search {
namespace {

using search_test::SmallIndex;
using testing::ElementsAre;
using testing::HasSubstr;
using Access = Database::Access;

calm_status status_of(const std::function<void()> &action, std::string *message = nullptr) {
  try {
    action();
  } catch (const Error &e) {
    if (message != nullptr) {
      *message = e.what();
    }
    return e.status();
  }
  return CALM_OK;
}

std::vector<std::int64_t> found(const Index &index, const std::string &query) {
  std::vector<std::int64_t> ids;
  for (const Hit &hit : index.match(full_text_query(query), 100)) {
    ids.push_back(hit.passage);
  }
  return ids;
}

TEST(Index, GivesBackWhatWasPutIn) {
  const SmallIndex small;
  const Index index = small.open();
  const Totals totals = index.totals();
  EXPECT_EQ(totals.documents, 2);
  EXPECT_EQ(totals.passages, 3);
  EXPECT_EQ(totals.vectors, 3);
  ASSERT_TRUE(index.model());
  EXPECT_EQ(index.model()->sha256, std::string(64, 'a'));
  EXPECT_EQ(index.model()->path, "/models/small.cwgt");
  EXPECT_EQ(index.model()->dimension, 4);
  EXPECT_EQ(index.model()->pooling, "mean");

  const StoredPassage pear = index.passage(2);
  EXPECT_EQ(pear.source, "/doc/fruit.txt");
  EXPECT_EQ(pear.title, "fruit.txt");
  EXPECT_EQ(pear.section, "Trees");
  EXPECT_EQ(pear.text, "Many pear trees in a row.");
  EXPECT_EQ(pear.begin, 30);
  EXPECT_EQ(pear.end, 55);
  EXPECT_FALSE(index.passage(3).begin);

  const std::vector<StoredDocument> documents = index.documents();
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_EQ(documents[0].document.source, "/doc/fruit.txt");
  EXPECT_EQ(documents[0].passages, 2);
  EXPECT_EQ(documents[1].document.kind, "pairs");
  EXPECT_EQ(index.find("/doc/pairs.txt")->sha256, std::string(64, '2'));
  EXPECT_FALSE(index.find("/doc"));

  std::vector<std::int64_t> ids;
  std::vector<float> rows;
  EXPECT_EQ(index.read_vectors(1, 5, ids, rows), 2u);
  EXPECT_THAT(ids, ElementsAre(2, 3));
  EXPECT_THAT(rows, ElementsAre(0, 1, 0, 0, 0, 0, 0.6F, 0.8F));
}

TEST(Index, FindsWordsByStemHeadingAndWithoutAccents) {
  const SmallIndex small;
  const Index index = small.open();
  EXPECT_THAT(found(index, "tree"), ElementsAre(1, 2));  // the shorter one first
  EXPECT_THAT(found(index, "pears"), ElementsAre(2));
  EXPECT_THAT(found(index, "pl\xc3\xbcm"), ElementsAre(3));
  EXPECT_THAT(found(index, "what"), ElementsAre());  // the query of a pair finds nothing
}

TEST(Index, RanksEqualPassagesByTheirNumbers) {
  const calm_test::TempFolder folder;
  Index index(folder.path("x"), Access::kCreate);
  const std::vector<Passage> same(20, Passage{"", "", "the same words", {}});
  index.add({"/a", "a", "text", 0, 0, std::string(64, '0')}, same, {});
  EXPECT_THAT(found(index, "words").size(), 20u);
  const std::vector<Hit> hits = index.match("\"words\"", 5);
  ASSERT_EQ(hits.size(), 5u);
  for (std::size_t i = 0; i < hits.size(); ++i) {
    EXPECT_EQ(hits[i].passage, static_cast<std::int64_t>(i) + 1);
  }
}

TEST(Index, RemovingADocumentRemovesItsWordsAndVectors) {
  const SmallIndex small;
  {
    Index index = small.change();
    index.remove(index.find("/doc/fruit.txt")->id);
    index.commit();
  }
  const Index index = small.open();
  EXPECT_EQ(index.totals().documents, 1);
  EXPECT_EQ(index.totals().passages, 1);
  EXPECT_EQ(index.totals().vectors, 1);
  EXPECT_THAT(found(index, "apple pear trees"), ElementsAre());
  EXPECT_THAT(found(index, "plum"), ElementsAre(3));
}

TEST(Index, WithoutCommitNothingHappened) {
  const SmallIndex small;
  const std::string before = calm_test::read_bytes(small.path());
  {
    Index index = small.change();
    index.remove(1);
    index.set_model(std::nullopt);
    EXPECT_EQ(index.totals().documents, 1);
  }
  EXPECT_EQ(calm_test::read_bytes(small.path()), before);
  EXPECT_EQ(small.folder().entries(), 1u);
}

TEST(Index, AReaderSeesOneStateWhateverIsWrittenMeanwhile) {
  const SmallIndex small;
  const Index reader = small.open();
  Index writer = small.change();
  writer.remove(1);
  EXPECT_EQ(reader.totals().documents, 2);
  EXPECT_EQ(small.open().totals().documents, 2);
}

TEST(Index, ASecondWriterIsToldToTryAgain) {
  const SmallIndex small;
  const Index first = small.change();
  std::string message;
  EXPECT_EQ(status_of([&] { small.change(); }, &message), CALM_BUSY);
  EXPECT_THAT(message, HasSubstr("another process is changing the index: try again"));
}

// A limit on its files ends the process by a signal while it writes: a commit that was cut short.
TEST(Index, AWriterThatDiesInTheMiddleOfItsCommitChangesNothing) {
  const SmallIndex small;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Index index = small.change();
    const std::vector<Passage> many(2000, Passage{"", "", std::string(600, 'x'), {}});
    index.add({"/b", "b", "text", 0, 0, std::string(64, '0')}, many,
              std::vector<float>(2000 * 4, 0.5F));
    struct rlimit limit = {300000, 300000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, SIG_DFL);
    index.commit();
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_TRUE(std::filesystem::exists(small.path() + "-journal"));
  search_test::read_everything(small.path());
  const Index index = small.open();
  EXPECT_EQ(index.totals().documents, 2);
  EXPECT_EQ(small.folder().entries(), 1u) << "the journal was used up";
}

TEST(Index, AJournalThatNamesAnotherFileIsRefused) {
  const SmallIndex small;
  const std::string victim = small.folder().write("victim", "precious");
  small.folder().write("small.idx-journal",
                       std::string(600, 'j') + "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7");
  EXPECT_EQ(status_of([&] { small.open(); }), CALM_CORRUPT_DATA);
  EXPECT_EQ(status_of([&] { small.change(); }), CALM_CORRUPT_DATA);
  EXPECT_EQ(calm_test::read_bytes(victim), "precious");
}

TEST(Index, NamesThatMeanSomethingToSQLiteAreNamesOfFiles) {
  const calm_test::TempFolder folder;
  const std::filesystem::path back = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  for (const char *name : {":memory:", "file:x?mode=memory", "with 'quote\"s\nand ü"}) {
    Index(name, Access::kCreate).commit();
    EXPECT_TRUE(std::filesystem::exists(name));
    EXPECT_EQ(Index(name, Access::kRead).totals().documents, 0);
  }
  std::filesystem::current_path(back);
}

TEST(Index, WhatIsNoFileIsAnErrorOfTheSystem) {
  const calm_test::TempFolder folder;
  std::string message;
  EXPECT_EQ(status_of([&] { Index(folder.path("none"), Access::kRead); }, &message), CALM_IO);
  EXPECT_THAT(message, HasSubstr("none: cannot open: No such file or directory"));
  EXPECT_EQ(status_of([&] { Index(folder.path("none"), Access::kWrite); }), CALM_IO);
  EXPECT_FALSE(std::filesystem::exists(folder.path("none")));
  EXPECT_EQ(status_of([&] { Index(folder.path(), Access::kRead); }), CALM_IO);
  ASSERT_EQ(::mkfifo(folder.path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(status_of([&] { Index(folder.path("pipe"), Access::kRead); }), CALM_IO);
}

}  // namespace
}  // namespace calm::search
