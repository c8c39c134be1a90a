#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/search/index.hpp"

/// Ranked lists. Pure functions. [any]
namespace calm::search {

/// The `limit` best of all hits offered; ties by passage, whatever the order they came in.
class Best {
 public:
  explicit Best(std::size_t limit) : limit_(limit) {}
  void offer(Hit hit);
  /// Best first; ends the object's use.
  std::vector<Hit> take();

 private:
  std::size_t limit_;
  std::vector<Hit> heap_;  // the worst in front
};

enum class Mode { kVector, kBm25, kHybrid };
std::string_view mode_name(Mode mode);

struct Result {
  std::int64_t passage = 0;
  double score = 0;                    ///< what the mode ranks by
  std::optional<double> bm25, vector;  ///< of the lists the passage was in
};

/// A single list.
std::vector<Result> ranked(std::span<const Hit> hits, Mode mode, std::size_t limit);

/// Reciprocal rank fusion: the sum over both lists of 1 / (60 + rank), ranks from 1; a list that
/// lacks a passage adds nothing. Ranks only, so it does not matter that BM25 and cosine have other
/// scales.
inline constexpr double kFusion = 60;
std::vector<Result> fuse(std::span<const Hit> bm25, std::span<const Hit> vector, std::size_t limit);

}  // namespace calm::search
