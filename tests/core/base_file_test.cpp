#include "core/base/file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <calm/cpp/error.hpp>
#include <string>

#include "tests/core/temp_folder.hpp"

namespace {

using calm::InputFile;
using calm::OutputFile;
using calm_test::read_bytes;
using calm_test::TempFolder;
using testing::HasSubstr;

template <class Body>
calm::Error failure(Body &&body) {
  try {
    body();
  } catch (const calm::Error &e) {
    return e;
  }
  return {CALM_OK, "nothing was thrown"};
}

TEST(InputFile, ReadsAnyRangeOfAFile) {
  const TempFolder folder;
  const InputFile file(folder.write("a", "0123456789"));
  EXPECT_EQ(file.size(), 10u);
  std::string part(4, '\0');
  file.read_at(3, part.data(), part.size());
  EXPECT_EQ(part, "3456");
  file.read_at(10, part.data(), 0);
}

TEST(InputFile, AMissingFileIsNamedWithTheReason) {
  const TempFolder folder;
  const calm::Error error = failure([&] { InputFile file(folder.path("none")); });
  EXPECT_EQ(error.status(), CALM_IO);
  EXPECT_EQ(std::string(error.what()),
            folder.path("none") + ": cannot open: No such file or directory");
}

TEST(InputFile, RefusesAFolder) {
  const TempFolder folder;
  const calm::Error error = failure([&] { InputFile file(folder.path()); });
  EXPECT_EQ(error.status(), CALM_IO);
  EXPECT_THAT(error.what(), HasSubstr("expected a regular file, found a folder"));
}

TEST(InputFile, RefusesAPipeWithoutWaitingForAWriter) {
  const TempFolder folder;
  ASSERT_EQ(::mkfifo(folder.path("pipe").c_str(), 0600), 0);
  const calm::Error error = failure([&] { InputFile file(folder.path("pipe")); });
  EXPECT_EQ(error.status(), CALM_IO);
  EXPECT_THAT(error.what(), HasSubstr("found a pipe"));
}

TEST(InputFile, RefusesADevice) {
  const calm::Error error = failure([] { InputFile file("/dev/zero"); });
  EXPECT_EQ(error.status(), CALM_IO);
  EXPECT_THAT(error.what(), HasSubstr("found a device"));
}

TEST(InputFile, ReadingPastTheEndTellsWhatIsThere) {
  const TempFolder folder;
  const InputFile file(folder.write("a", "0123456789"));
  char byte = 0;
  const calm::Error error = failure([&] { file.read_at(8, &byte, 3); });
  EXPECT_EQ(error.status(), CALM_CORRUPT_DATA);
  EXPECT_EQ(
      std::string(error.what()),
      folder.path("a") + ": offset 8: expected 3 more bytes, found 2 before the end of the file");
  // Sums of offset and length must not wrap.
  EXPECT_EQ(failure([&] { file.read_at(~0ull, &byte, 2); }).status(), CALM_CORRUPT_DATA);
  EXPECT_EQ(failure([&] { file.read_at(2, &byte, ~0ull); }).status(), CALM_CORRUPT_DATA);
}

TEST(InputFile, AFileThatShrinksMeanwhileIsAnError) {
  const TempFolder folder;
  const InputFile file(folder.write("a", "0123456789"));
  ASSERT_EQ(::truncate(file.path().c_str(), 4), 0);
  std::string all(10, '\0');
  const calm::Error error = failure([&] { file.read_at(0, all.data(), all.size()); });
  EXPECT_EQ(error.status(), CALM_IO);
  EXPECT_THAT(error.what(), HasSubstr("offset 4: the file became shorter"));
}

TEST(InputFile, ItsStreamFailsWithoutThrowingOrNamingThePath) {
  const TempFolder folder;
  const InputFile file(folder.write("a", "0123456789"));
  const calm_stream stream = file.stream();
  EXPECT_EQ(stream.bytes, 10u);
  char bytes[2] = {};
  calm_error error{};
  EXPECT_EQ(stream.read_at(stream.self, 1, bytes, 2, &error), CALM_OK);
  EXPECT_EQ(std::string(bytes, 2), "12");
  EXPECT_EQ(stream.read_at(stream.self, 9, bytes, 2, &error), CALM_CORRUPT_DATA);
  EXPECT_THAT(error.message, HasSubstr("offset 9: "));
  EXPECT_THAT(error.message, Not(HasSubstr(folder.path())));
  EXPECT_EQ(stream.read_at(stream.self, 9, bytes, 2, nullptr), CALM_CORRUPT_DATA);
}

TEST(OutputFile, AppearsWholeAndOnlyWhenPublished) {
  const TempFolder folder;
  OutputFile file(folder.path("out"));
  file.write("hello ", 6);
  const calm_sink sink = file.sink();
  EXPECT_EQ(sink.write(sink.self, "world", 5, nullptr), CALM_OK);
  EXPECT_EQ(file.bytes(), 11u);
  EXPECT_FALSE(std::filesystem::exists(folder.path("out")));
  file.publish();
  EXPECT_EQ(read_bytes(folder.path("out")), "hello world");
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(OutputFile, LeavesNothingBehindUnpublished) {
  const TempFolder folder;
  {
    OutputFile file(folder.path("out"));
    file.write("half", 4);
  }
  EXPECT_EQ(folder.entries(), 0u);
}

TEST(OutputFile, AnOldFileStaysUntilTheNewOneIsPublished) {
  const TempFolder folder;
  folder.write("out", "old");
  {
    OutputFile file(folder.path("out"));
    file.write("new", 3);
    EXPECT_EQ(read_bytes(folder.path("out")), "old");
  }
  EXPECT_EQ(read_bytes(folder.path("out")), "old");
}

TEST(OutputFile, WritesMoreThanItsBufferInPiecesOfAnySize) {
  const TempFolder folder;
  std::string all;
  OutputFile file(folder.path("out"));
  for (std::size_t i = 0; all.size() < 3'000'000; ++i) {
    const std::string piece(1 + i * 7919 % 100'000, static_cast<char>('a' + i % 26));
    file.write(piece.data(), piece.size());
    all += piece;
  }
  file.publish();
  EXPECT_EQ(file.bytes(), all.size());
  EXPECT_TRUE(read_bytes(folder.path("out")) == all);
}

TEST(OutputFile, CreatesMissingFoldersAndObeysTheUmask) {
  const TempFolder folder;
  const mode_t before = ::umask(027);
  OutputFile file(folder.path("a/b/out"));
  file.publish();
  ::umask(before);
  struct stat status {};
  ASSERT_EQ(::stat(folder.path("a/b/out").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
  EXPECT_EQ(status.st_size, 0);
}

TEST(OutputFile, GivesPrivateFilesTheirMode) {
  const TempFolder folder;
  OutputFile file(folder.path("out"), 0600);
  file.publish();
  struct stat status {};
  ASSERT_EQ(::stat(folder.path("out").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST(OutputFile, WritesThroughALink) {
  const TempFolder folder;
  folder.write("real", "old");
  std::filesystem::create_symlink("real", folder.path("link"));
  OutputFile file(folder.path("link"));
  file.write("new", 3);
  file.publish();
  EXPECT_TRUE(std::filesystem::is_symlink(folder.path("link")));
  EXPECT_EQ(read_bytes(folder.path("real")), "new");
}

TEST(OutputFile, NeverReplacesADeviceOrAFolder) {
  const TempFolder folder;
  for (const std::string &path :
       {std::string("/dev/full"), std::string("/dev/null"), folder.path(), folder.path() + "/"}) {
    const calm::Error error = failure([&] { OutputFile file(path); });
    EXPECT_EQ(error.status(), CALM_IO) << path;
    EXPECT_THAT(error.what(), HasSubstr(path + ": cannot write: "));
  }
}

TEST(OutputFile, FailsBeforeTheFirstByteWhereNothingCanBeWritten) {
  const TempFolder folder;
  folder.write("file", "x");
  const std::string long_name(256, 'n');
  for (const std::string &name : {std::string("file/out"), long_name}) {
    const calm::Error error = failure([&] { OutputFile file(folder.path(name)); });
    EXPECT_EQ(error.status(), CALM_IO) << name;
  }
  EXPECT_EQ(folder.entries(), 1u);
  OutputFile longest(folder.path(std::string(255, 'n')));
  longest.publish();
}

TEST(OutputFile, PublishingOrWritingAfterPublishingIsAnError) {
  const TempFolder folder;
  OutputFile file(folder.path("out"));
  file.publish();
  EXPECT_EQ(failure([&] { file.publish(); }).status(), CALM_IO);
  EXPECT_EQ(failure([&] { file.write("x", 1); }).status(), CALM_IO);
}

TEST(ReadText, GivesTheWholeFileUpToALimit) {
  const TempFolder folder;
  const std::string path = folder.write("a", "line\nline\n");
  EXPECT_EQ(calm::read_text(path, 10), "line\nline\n");
  const calm::Error error = failure([&] { calm::read_text(path, 9); });
  EXPECT_EQ(error.status(), CALM_CORRUPT_DATA);
  EXPECT_EQ(std::string(error.what()), path + ": expected at most 9 bytes, found 10");
}

}  // namespace
