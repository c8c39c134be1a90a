#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/data/pairs.hpp"
#include "core/search/encoder.hpp"
#include "core/search/index.hpp"
#include "core/search/ranking.hpp"
#include "core/search/scan.hpp"

namespace calm::search {

/// How far down the two lists of a hybrid search go, when fewer results are asked for.
inline constexpr std::size_t kDepth = 100;

/// What vectors of a search come from; both null where only BM25 is asked for.
struct VectorSide {
  Encoder *encoder = nullptr;
  VectorScan *scan = nullptr;
};

/// The `limit` best passages for a query. Needs `side` unless the mode is kBm25.
std::vector<Result> search(const Index &index, const VectorSide &side, std::string_view query,
                           Mode mode, std::size_t limit);

/// How well a mode finds what it should.
struct Quality {
  Mode mode = Mode::kBm25;
  double recall = 0;  ///< share of the queries whose passage is among the k best
  double mrr = 0;     ///< mean of 1 / its rank, 0 where it is not among the best kDepth
};

struct Evaluation {
  std::uint64_t queries = 0;
  std::uint64_t absent = 0;  ///< queries whose passage is not in the index; they count as not found
  std::vector<Quality> modes;
};

/// Looks for the passage of every pair by its query. A passage counts as found where the index
/// holds exactly its text. Vectors and BM25 are asked once for all the modes.
Evaluation evaluate(const Index &index, const VectorSide &side,
                    std::span<const data::TextPair> pairs, std::span<const Mode> modes,
                    std::size_t k);

}  // namespace calm::search
