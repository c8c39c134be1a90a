#include "core/data/pairs.hpp"

#include "tests/parity/text_golden.hpp"

#include <algorithm>

namespace calm::data {
namespace {

using Ids = std::vector<text::Token>;

std::size_t longest(const std::vector<Ids> &rows) {
  std::size_t most = 0;
  for (const Ids &row : rows) most = std::max(most, row.size());
  return most;
}

TEST(PairsParity, EveryGoldenFileGivesItsPairsAndTokens) {
  for (const auto &golden_case : golden::json("pairs.json", "cases")) {
    const auto name = golden_case["file"].get<std::string>();
    const auto l_max = golden_case["l_max"].get<std::size_t>();
    SCOPED_TRACE(name + " " + std::to_string(l_max));
    const PairFile file = parse_pairs(golden::bytes(name), name);
    nlohmann::json pairs = nlohmann::json::array(), tokens = nlohmann::json::array();
    std::vector<Ids> queries, passages;
    for (const TextPair &pair : file.pairs) {
      pairs.push_back({pair.query, pair.passage});
      queries.push_back(encode_pair_text(pair.query, l_max));
      passages.push_back(encode_pair_text(pair.passage, l_max));
      tokens.push_back({queries.back(), passages.back()});
    }
    EXPECT_EQ(pairs, golden_case["pairs"]);
    EXPECT_EQ(tokens, golden_case["tokens"]);
    EXPECT_EQ(nlohmann::json({queries.size(), longest(queries)}), golden_case["query_shape"]);
    EXPECT_EQ(nlohmann::json({passages.size(), longest(passages)}), golden_case["positive_shape"]);
  }
}

}  // namespace
}  // namespace calm::data
