// Which operators a backend has kernels for, as its table says; the conformance suite needs a
// device for that.
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "tests/layout/tree.hpp"

namespace calm::layout {
namespace {

// The first group of every line of `file` that `pattern` matches from its beginning.
std::set<std::string> names_in(const std::string &file, const std::string &pattern) {
  std::set<std::string> found;
  const std::regex line_of(pattern);
  for (const std::string &line : lines_of(root() / file)) {
    std::smatch match;
    if (std::regex_search(line, match, line_of, std::regex_constants::match_continuous)) {
      found.insert(match[1]);
    }
  }
  return found;
}

TEST(Kernels, OfCudaAreThereForEveryOperatorOfTheCore) {
  const std::set<std::string> operators = names_in("core/ops/table.cpp", R"(  X\((\w+), 1\))");
  const std::set<std::string> kernels =
      names_in("backends/cuda/kernel_table.cpp", R"(  [KPAJ]+\((\w+)\))");
  EXPECT_FALSE(operators.empty());
  EXPECT_EQ(operators, kernels);
}

}  // namespace
}  // namespace calm::layout
