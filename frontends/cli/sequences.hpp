#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/data/batch.hpp"

// Sequences of a dataset as a person sees them.
namespace calm::cli {

/// Bytes as text, safe for a terminal and on one line; special tokens as <NAME>.
std::string render_tokens(std::span<const std::uint16_t> tokens);

/// Targets of a sequence: how many there are, and how many the loss counts (spec F.1).
struct Targets {
  std::uint64_t all = 0, counted = 0;
};
Targets count_targets(std::span<const std::uint16_t> tokens, std::uint16_t cmd_pos);

/// Runs of bytes between special tokens that are not UTF-8.
std::uint64_t utf8_errors(std::span<const std::uint16_t> tokens);

struct DatasetStats {
  std::uint64_t sequences = 0, tokens = 0;
  std::uint64_t shortest = 0, median = 0, p95 = 0, longest = 0;
  struct Bin {
    std::uint64_t from, to;  // inclusive
    std::uint64_t count = 0;
  };
  std::vector<Bin> histogram;  // powers of two, from the shortest to the longest
  Targets targets;
  std::uint64_t duplicates = 0;     // sequences equal to an earlier one
  std::uint64_t bad_sequences = 0;  // with utf8_errors() > 0
};
DatasetStats dataset_stats(const data::Dataset &dataset);

}  // namespace calm::cli
