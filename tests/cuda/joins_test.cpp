// Where the first stream waits for the second (cuda/graph.hpp).
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/graph.hpp"

namespace calm::cuda_test {
namespace {

using cuda::Node;

void join_nothing(const cuda::Launch *, std::size_t) {}

/// One letter a node: s of the second stream, n of the first, j joined with those beside it, a
/// late.
std::vector<std::uint32_t> joins(const std::string &text) {
  std::vector<Node> nodes;
  for (const char letter : text) {
    Node &node = nodes.emplace_back();
    node.side = letter == 's';
    node.late = letter == 'a';
    node.join = letter == 'j' || letter == 'a' ? join_nothing : nullptr;
  }
  return cuda::joins_of(nodes);
}

using Joins = std::vector<std::uint32_t>;

TEST(JoinsOfStreams, AreNowhereWithoutASecondStream) {
  EXPECT_EQ(joins("nnnnnnnnnnnnnnnna"), Joins());
}

TEST(JoinsOfStreams, AreEveryDozenNodesOfTheFirstAndBeforeTheLateOnes) {
  EXPECT_EQ(joins("snnnnnnnnnnnnnnnaa"), (Joins{12, 16}));
  EXPECT_EQ(joins("nnnsnnnaaannn"), (Joins{7}));
}

TEST(JoinsOfStreams, AreNotInsideALaunch) {
  // The twelfth node is the third of five in one launch: nobody would wait there. They count as
  // one.
  EXPECT_EQ(joins("snnnnnnnnnjjjjjnnna"), (Joins{16, 18}));
}

}  // namespace
}  // namespace calm::cuda_test
