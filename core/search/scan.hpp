#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/graph/params.hpp"
#include "core/run/stage.hpp"
#include "core/search/index.hpp"

namespace calm::search {

/// The exact vector search: products of queries with all vectors of an index, block after block on
/// a session's device. Memory is bounded by the block whatever the index holds.
class VectorScan {
 public:
  /// Passages a block has, and queries one pass over the index answers.
  static constexpr std::int64_t kBlock = 4096;
  static constexpr std::int64_t kQueries = 64;

  /// The session must outlive the scan.
  VectorScan(run::Session &session, graph::OperatorLookup operators, std::int64_t dimension);

  /// `queries` is [count, dimension], of length 1. The `limit` best passages of each, by cosine;
  /// ties by passage. CALM_CORRUPT_DATA when the index has not a vector for every passage.
  std::vector<std::vector<Hit>> search(const Index &index, std::span<const float> queries,
                                       std::size_t limit);

 private:
  void pass(const Index &index, std::span<const float> queries, std::size_t limit,
            std::vector<std::vector<Hit>> &out);
  run::Stage &stage(std::int64_t queries);

  run::Session *session_;
  graph::OperatorLookup operators_;
  std::int64_t dimension_;
  graph::ParamLayout layout_;  // of nothing: all operands are inputs
  std::unique_ptr<run::Stage> one_, many_;
};

}  // namespace calm::search
