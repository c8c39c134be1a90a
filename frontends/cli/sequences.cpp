#include "frontends/cli/sequences.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string_view>
#include <unordered_set>

#include "core/text/printable.hpp"
#include "core/text/tokenizer.hpp"
#include "core/text/utf8.hpp"

namespace calm::cli {

namespace {

// Calls text(bytes) for each run of bytes and special(token) for what stands between.
template <class Text, class Special>
void walk(std::span<const std::uint16_t> tokens, Text &&text, Special &&special) {
  std::string bytes;
  const auto flush = [&] {
    if (!bytes.empty()) {
      text(bytes);
      bytes.clear();
    }
  };
  for (const std::uint16_t token : tokens) {
    if (token < 256) {
      bytes += static_cast<char>(static_cast<unsigned char>(token));
    } else {
      flush();
      special(token);
    }
  }
  flush();
}

std::string_view bytes_of(std::span<const std::uint16_t> tokens) {
  return {reinterpret_cast<const char *>(tokens.data()), tokens.size_bytes()};
}

std::uint64_t percentile(const std::vector<std::uint64_t> &sorted, double share) {
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(std::lround(last * share))];
}

}  // namespace

std::string render_tokens(std::span<const std::uint16_t> tokens) {
  std::string out;
  walk(
      tokens,
      [&out](const std::string &bytes) { out += text::printable(bytes, text::LineFeeds::kEscape); },
      [&out](std::uint16_t token) { out += text::token_name(token); });
  return out;
}

Targets count_targets(std::span<const std::uint16_t> tokens, std::uint16_t cmd_pos) {
  Targets targets;
  for (std::size_t j = 0; j + 1 < tokens.size(); ++j) {
    ++targets.all;
    targets.counted += j >= cmd_pos && tokens[j + 1] != text::kPad ? 1U : 0U;
  }
  return targets;
}

std::uint64_t utf8_errors(std::span<const std::uint16_t> tokens) {
  std::uint64_t errors = 0;
  walk(
      tokens,
      [&errors](const std::string &bytes) {
        errors += text::find_invalid_utf8(bytes).has_value() ? 1U : 0U;
      },
      [](std::uint16_t) {});
  return errors;
}

DatasetStats dataset_stats(const data::Dataset &dataset) {
  DatasetStats stats;
  stats.sequences = dataset.size();
  stats.tokens = dataset.tokens.size();
  std::vector<std::uint64_t> lengths;
  std::unordered_set<std::string_view> seen;
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    const std::span<const std::uint16_t> tokens = dataset.sequence(i);
    lengths.push_back(tokens.size());
    const Targets targets = count_targets(tokens, dataset.cmd_pos[i]);
    stats.targets.all += targets.all;
    stats.targets.counted += targets.counted;
    stats.duplicates += seen.insert(bytes_of(tokens)).second ? 0U : 1U;
    stats.bad_sequences += utf8_errors(tokens) > 0 ? 1U : 0U;
  }
  if (lengths.empty()) {
    return stats;
  }
  std::sort(lengths.begin(), lengths.end());
  stats.shortest = lengths.front();
  stats.median = percentile(lengths, 0.5);
  stats.p95 = percentile(lengths, 0.95);
  stats.longest = lengths.back();
  for (std::uint64_t from = std::bit_floor(stats.shortest); from <= stats.longest; from *= 2) {
    stats.histogram.push_back({from, from * 2 - 1, 0});
  }
  for (const std::uint64_t length : lengths) {
    const auto bin =
        std::countr_zero(std::bit_floor(length)) - std::countr_zero(std::bit_floor(stats.shortest));
    ++stats.histogram[static_cast<std::size_t>(bin)].count;
  }
  return stats;
}

}  // namespace calm::cli
