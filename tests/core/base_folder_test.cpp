#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <calm/cpp/error.hpp>

#include "core/base/digest.hpp"
#include "core/base/folder.hpp"
#include "tests/core/temp_folder.hpp"

namespace calm {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

void write(const std::string &path, const std::string &text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::size_t entries(const std::string &folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
}

template <class Body>
Error failure(Body &&body) {
  try {
    body();
  } catch (const Error &e) {
    return e;
  }
  return {CALM_OK, "nothing was thrown"};
}

// FIPS 180-2, appendix B.
TEST(Digest, Sha256OfTheStandardsExamples) {
  Sha256 abc;
  abc.add("a", 1);
  abc.add("bc", 2);
  EXPECT_EQ(abc.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const calm_test::TempFolder folder;
  write(folder.path("million"), std::string(1'000'000, 'a'));
  EXPECT_EQ(sha256_of_file(folder.path("million")),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  write(folder.path("empty"), "");
  EXPECT_EQ(sha256_of_file(folder.path("empty")),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(failure([&] { sha256_of_file(folder.path("missing")); }).status(), CALM_IO);
}

TEST(OutputFolder, AppearsAsAWhole) {
  const calm_test::TempFolder folder;
  const std::string target = folder.path("deep/er/checkpoint");
  OutputFolder out(target);
  write(out.file("a"), "1");
  EXPECT_FALSE(fs::exists(target));
  out.publish();
  EXPECT_EQ(calm_test::read_bytes(target + "/a"), "1");
  EXPECT_EQ(entries(folder.path("deep/er")), 1u);
}

TEST(OutputFolder, ReplacesAnOlderOneAndLeavesNothingOfIt) {
  const calm_test::TempFolder folder;
  const std::string target = folder.path("checkpoint");
  fs::create_directories(target);
  write(target + "/old", "old");
  {
    OutputFolder out(target);
    write(out.file("new"), "new");
    out.publish();
    EXPECT_FALSE(fs::exists(target + "/old"));
    EXPECT_TRUE(fs::exists(target + "/new"));
  }
  EXPECT_EQ(entries(folder.path()), 1u);
}

TEST(OutputFolder, UnpublishedLeavesTheOlderOneAsItWas) {
  const calm_test::TempFolder folder;
  const std::string target = folder.path("checkpoint");
  fs::create_directories(target);
  write(target + "/old", "old");
  {
    const OutputFolder out(target);
    write(out.file("new"), "new");
  }
  EXPECT_EQ(calm_test::read_bytes(target + "/old"), "old");
  EXPECT_EQ(entries(folder.path()), 1u);
}

TEST(OutputFolder, AFileInTheWayIsNotReplaced) {
  const calm_test::TempFolder folder;
  write(folder.path("checkpoint"), "a file");
  OutputFolder out(folder.path("checkpoint"));
  const Error e = failure([&] { out.publish(); });
  EXPECT_EQ(e.status(), CALM_IO);
  EXPECT_THAT(e.what(), HasSubstr("checkpoint: cannot put in place"));
  EXPECT_EQ(calm_test::read_bytes(folder.path("checkpoint")), "a file");
  EXPECT_EQ(failure([&] { OutputFolder inside(folder.path("checkpoint/below")); }).status(),
            CALM_IO);
}

TEST(FolderLock, NamesTheHolderAndEndsWithIt) {
  const calm_test::TempFolder folder;
  {
    const FolderLock lock(folder.path());
    const Error e = failure([&] { const FolderLock second(folder.path()); });
    EXPECT_EQ(e.status(), CALM_IO);
    EXPECT_EQ(std::string(e.what()), folder.path() + ": in use: process " +
                                         std::to_string(::getpid()) + " is writing there");
  }
  const FolderLock again(folder.path());
  EXPECT_EQ(failure([&] { const FolderLock none(folder.path("missing")); }).status(), CALM_IO);
}

TEST(ListFolder, IsSortedAndEmptyWithoutAFolder) {
  const calm_test::TempFolder folder;
  for (const char *name : {"b", "a", "c"}) {
    write(folder.path(name), "");
  }
  EXPECT_THAT(list_folder(folder.path()),
              testing::ElementsAre(folder.path("a"), folder.path("b"), folder.path("c")));
  EXPECT_TRUE(list_folder(folder.path("missing")).empty());
  EXPECT_EQ(failure([&] { list_folder(folder.path("a")); }).status(), CALM_IO);
}

}  // namespace
}  // namespace calm
