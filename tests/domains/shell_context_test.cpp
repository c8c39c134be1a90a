// The situation a command is typed in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <calm/cpp/error.hpp>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>

#include "tests/domains/dictd_fixture.hpp"

namespace calm::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Pair;

using Fields = std::vector<std::pair<std::string, std::string>>;

// A variable of the environment, put back afterwards.
class Variable {
 public:
  Variable(const char *name, const std::string &value) : name_(name) {
    if (const char *before = std::getenv(name)) {
      before_ = before;
    }
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }
  Variable(const Variable &) = delete;
  Variable &operator=(const Variable &) = delete;

 private:
  const char *name_;
  std::optional<std::string> before_;
};

Fields gather(const std::string &cwd) {
  Fields out;
  calm_error error{};
  const calm_status status = domain_of("shell").gather_context(
      str(cwd), &out,
      [](void *context, calm_str field, calm_str value, calm_error *) {
        static_cast<Fields *>(context)->emplace_back(copy(field), copy(value));
        return CALM_OK;
      },
      nullptr, &error);
  EXPECT_EQ(status, CALM_OK) << error.message;
  return out;
}

std::string git_of(const std::string &cwd) {
  for (const auto &[name, value] : gather(cwd)) {
    if (name == "git") {
      return value;
    }
  }
  return "none";
}

constexpr char kHash[] = "721a85b0f3c1d2e4a5b6c7d8e9f0a1b2c3d4e5f6\n";

TEST(ShellContext, TheBranchComesFromTheFilesOfTheRepositoryAbove) {
  const TemporaryFolder folder;
  folder.write(".git/HEAD", "ref: refs/heads/feature/x\n");
  folder.write("a/b/file", "");
  EXPECT_EQ(git_of(folder.file("a/b")), "feature/x");
  folder.write(".git/HEAD", kHash);
  EXPECT_EQ(git_of(folder.file("a")), "(721a85b0)");
}

TEST(ShellContext, WhatIsGoingOnStandsBehindTheBranch) {
  const TemporaryFolder folder;
  folder.write(".git/HEAD", "ref: refs/heads/main\n");
  folder.write(".git/MERGE_HEAD", kHash);
  EXPECT_EQ(git_of(folder.file("")), "main|MERGING");
  folder.write(".git/HEAD", kHash);
  folder.write(".git/rebase-merge/head-name", "refs/heads/topic\n");
  folder.write(".git/rebase-merge/msgnum", "2\n");
  folder.write(".git/rebase-merge/end", "5\n");
  EXPECT_EQ(git_of(folder.file("")), "topic|REBASE 2/5");
}

TEST(ShellContext, ALinkedWorkTreeIsFollowedOneStep) {
  const TemporaryFolder folder;
  folder.write("main/.git/worktrees/w/HEAD", "ref: refs/heads/side\n");
  folder.write("tree/.git", "gitdir: ../main/.git/worktrees/w\n");
  EXPECT_EQ(git_of(folder.file("tree")), "side");
}

TEST(ShellContext, ABrokenRepositoryIsNone) {
  const TemporaryFolder folder;
  for (const std::string &head :
       {std::string(), std::string(1 << 20, 'x'), std::string("ref: refs/heads/\x1b[31m"),
        std::string("ref: "), std::string("ref: refs/heads/") + std::string(500, 'y'),
        std::string("\0\0\0", 3)}) {
    folder.write("a/.git/HEAD", head);
    EXPECT_EQ(git_of(folder.file("a")), "none") << head.substr(0, 40);
  }
  folder.write("loop/.git", "gitdir: .\n");
  EXPECT_EQ(git_of(folder.file("loop")), "none");
  folder.write("self/.git", "gitdir: .git\n");
  EXPECT_EQ(git_of(folder.file("self")), "none");
  folder.write("empty/.git", "");
  EXPECT_EQ(git_of(folder.file("empty")), "none");
  std::filesystem::create_directories(folder.file("link"));
  std::filesystem::create_symlink(".git", folder.file("link/.git"));
  EXPECT_EQ(git_of(folder.file("link")), "none");
  folder.write("odd/.git/HEAD", "ref: refs/heads/main\n");
  folder.write("odd/.git/rebase-merge/msgnum", "\x1b]0;x\x07\n");
  EXPECT_EQ(git_of(folder.file("odd")), "main|REBASE");
}

TEST(ShellContext, TheLastCommandsComeWithTheirExitCodesAndWithoutSecrets) {
  const TemporaryFolder folder;
  const Variable own("CALM_HISTORY",
                     folder.write("own",
                                  "0\told\n0\tcd src\n2\tmake\n0\texport X_TOKEN=abc\n"
                                  "1\t hidden\nls\n\x1b[31m\n0\tgit status\n127\tgti\n"));
  EXPECT_THAT(gather(folder.file("")),
              ElementsAre(Pair("cwd", folder.file("")), Pair("history", "cd src"),
                          Pair("exit", "0"), Pair("history", "make"), Pair("exit", "2"),
                          Pair("history", "ls"), Pair("history", "git status"), Pair("exit", "0"),
                          Pair("history", "gti"), Pair("exit", "127")));
}

TEST(ShellContext, WithoutAFileOfOurOwnTheShellsHistoryServes) {
  const TemporaryFolder folder;
  const Variable own("CALM_HISTORY", "");
  const Variable file("HISTFILE", folder.write(".zsh_history", ": 1690000000:0;make all\n"));
  EXPECT_THAT(gather(folder.file("")), Contains(Pair("history", "make all")));
  const Variable none("HISTFILE", folder.file("missing"));
  EXPECT_THAT(gather(folder.file("")), ElementsAre(Pair("cwd", folder.file(""))));
}

TEST(ShellContext, HintsOfTheEnvironmentAreNamesOnly) {
  const TemporaryFolder folder;
  const Variable own("CALM_HISTORY", folder.file("missing"));
  const Variable python("VIRTUAL_ENV", "/home/ann/venvs/web");
  folder.write("Makefile", "");
  folder.write("Cargo.toml", "");
  EXPECT_THAT(gather(folder.file("")),
              ElementsAre(Pair("cwd", folder.file("")), Pair("env", "VIRTUAL_ENV=web"),
                          Pair("env", "Makefile"), Pair("env", "Cargo.toml")));
}

}  // namespace
}  // namespace calm::test
