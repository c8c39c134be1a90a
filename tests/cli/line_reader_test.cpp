#include "frontends/cli/line_reader.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <calm/cpp/error.hpp>

namespace calm::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A pipe: what is written is there for the reader at once.
class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe(ends_.data()), 0); }
  ~Pipe() {
    close_write();
    ::close(ends_[0]);
  }
  Pipe(const Pipe &) = delete;
  Pipe &operator=(const Pipe &) = delete;
  int read_end() const { return ends_[0]; }
  void write(std::string_view text) const {
    ASSERT_EQ(::write(ends_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void close_write() {
    if (ends_[1] >= 0) {
      ::close(ends_[1]);
      ends_[1] = -1;
    }
  }

 private:
  std::array<int, 2> ends_{};
};

LineReader reader(const Pipe &pipe, std::size_t keep = 100) {
  return {pipe.read_end(), keep, [] { return false; }};
}

TEST(LineReader, ALineIsGivenWithoutWaitingForTheNext) {
  const Pipe pipe;
  LineReader lines = reader(pipe);
  pipe.write("one\ntw");
  EXPECT_THAT(lines.read(10), ElementsAre("one"));
  pipe.write("o\n\nfour");
  EXPECT_THAT(lines.read(10), ElementsAre("two", ""));
}

TEST(LineReader, NoMoreThanAskedForAreGivenAtOnce) {
  const Pipe pipe;
  LineReader lines = reader(pipe);
  pipe.write("1\n2\n3\n4\n5\n");
  EXPECT_THAT(lines.read(2), ElementsAre("1", "2"));
  EXPECT_THAT(lines.read(2), ElementsAre("3", "4"));
  EXPECT_THAT(lines.read(2), ElementsAre("5"));
}

TEST(LineReader, TheLastLineNeedsNoEnd) {
  Pipe pipe;
  LineReader lines = reader(pipe);
  pipe.write("one\ntwo");
  pipe.close_write();
  EXPECT_THAT(lines.read(10), ElementsAre("one", "two"));
  EXPECT_THAT(lines.read(10), IsEmpty());
  EXPECT_THAT(lines.read(10), IsEmpty());
}

TEST(LineReader, AnEmptyInputHasNoLines) {
  Pipe pipe;
  pipe.close_write();
  EXPECT_THAT(reader(pipe).read(10), IsEmpty());
}

TEST(LineReader, ACarriageReturnBelongsToTheEndOfTheLine) {
  Pipe pipe;
  pipe.write("one\r\nt\rwo\r\r\n\r\nfour\r");
  pipe.close_write();
  EXPECT_THAT(reader(pipe).read(10), ElementsAre("one", "t\rwo\r", "", "four"));
}

TEST(LineReader, OfALongLineTheStartIsKept) {
  Pipe pipe;
  pipe.write("abcd\nabcde\nabcd\r\nabc\re\nx\n");
  pipe.close_write();
  EXPECT_THAT(reader(pipe, 4).read(10), ElementsAre("abcd", "abcd", "abcd", "abc\r", "x"));
}

TEST(LineReader, AFileLargerThanOneReadIsReadWhole) {
  std::FILE *file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  std::vector<std::string> want;
  for (std::size_t i = 0; i < 30000; ++i) {
    want.push_back("line " + std::to_string(i) + std::string(i % 17, 'x'));
    std::fputs((want.back() + "\n").c_str(), file);
  }
  std::fflush(file);
  ASSERT_EQ(::lseek(::fileno(file), 0, SEEK_SET), 0);
  LineReader lines(::fileno(file), 100, [] { return false; });
  std::vector<std::string> got;
  for (std::vector<std::string> some = lines.read(999); !some.empty(); some = lines.read(999)) {
    got.insert(got.end(), some.begin(), some.end());
  }
  EXPECT_EQ(got, want);
  std::fclose(file);
}

TEST(LineReader, WaitingEndsWhenAskedToStop) {
  const Pipe pipe;
  int asked = 0;
  LineReader lines(pipe.read_end(), 10, [&asked] { return ++asked > 2; });
  try {
    lines.read(1);
    FAIL() << "expected an error";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_CANCELLED);
  }
}

TEST(LineReader, WhatCannotBeReadIsNamed) {
  const int folder = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(folder, 0);
  LineReader lines(folder, 10, [] { return false; });
  try {
    lines.read(1);
    FAIL() << "expected an error";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_IO);
    EXPECT_THAT(e.what(), testing::StartsWith("standard input: cannot read: "));
  }
  ::close(folder);
}

}  // namespace
}  // namespace calm::cli
