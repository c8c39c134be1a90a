#pragma once

#include "core/text/tokenizer.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Pair files for contrastive training (spec H.2, H.3). Everything here is a pure function. [any]
namespace calm::data {

/// A query is kept from 5 code points on, a passage from 20 on.
inline constexpr std::size_t kShortestQuery = 5;
inline constexpr std::size_t kShortestPassage = 20;

struct TextPair {
  std::string query;    ///< one line
  std::string passage;  ///< may hold line feeds, also at its start
};

struct PairFile {
  std::vector<TextPair> pairs;  ///< in the order of the file
  std::uint64_t too_short = 0;  ///< complete pairs left out for their length
  /// Lines (from 1) of the queries that took the place of an earlier one because no empty line
  /// stands between two pairs. Worth a warning: the earlier query is lost, and its passage may have
  /// been paired with the later one.
  std::vector<std::uint64_t> replaced_queries;
};

/// Reads the text of a pair file; `name` is used in messages. CALM_CORRUPT_DATA with the offset
/// when it is not UTF-8; any UTF-8 text is a pair file, perhaps without a pair.
PairFile parse_pairs(std::string_view text, std::string_view name);

/// [BOS] bytes [EOS]; a longer text is cut so that EOS is token l_max - 1, perhaps inside a
/// character. Needs l_max >= 2.
std::vector<text::Token> encode_pair_text(std::string_view text, std::size_t l_max);

}  // namespace calm::data
