// Each public header compiles alone, with nothing but the standard library and a pedantic compiler.
#include <gtest/gtest.h>

#include "tests/layout/tree.hpp"

namespace calm::layout {
namespace {

// Compiles a file that includes only `header`; fails with the compiler's own words.
void expect_compiles(const fs::path &header, const std::string &compiler,
                     const std::string &flags) {
  const fs::path include = root() / "sdk/include";
  const std::string name = header.lexically_relative(include).generic_string();
  const std::string command = "printf '#include <%s>\\ntypedef int a_file_is_never_empty;\\n' " +
                              shell_quote(name) + " | " + shell_quote(compiler) + " " + flags +
                              " -Wall -Wextra -pedantic -Werror -Wconversion -Wshadow"
                              " -fsyntax-only -I " +
                              shell_quote(include.string()) + " -";
  std::string output;
  EXPECT_EQ(run(command, output), 0) << name << " with " << flags << "\n" << output;
}

TEST(Headers, EachCHeaderCompilesAloneAsC11) {
  const auto headers = files_in("sdk/include", {".h"});
  ASSERT_FALSE(headers.empty());
  for (const fs::path &header : headers) expect_compiles(header, CALM_TEST_CC, "-std=c11 -x c");
}

TEST(Headers, EachHeaderCompilesAloneAsCpp20) {
  for (const fs::path &header : files_in("sdk/include", {".h", ".hpp"})) {
    expect_compiles(header, CALM_TEST_CXX, "-std=c++20 -x c++");
  }
}

}  // namespace
}  // namespace calm::layout
