#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

// A text file as training sequences (spec section L). Writing them is a format plugin's work.
namespace calm::data {

// Sequences of the byte vocabulary, end to end.
struct SequenceSet {
  std::vector<std::uint16_t> tokens;   // (sum of lengths)
  std::vector<std::uint32_t> lengths;  // (sequences), tokens
  std::vector<std::uint32_t> cmd_pos;  // (sequences), index of the first ATN in its sequence, or 0

  std::size_t size() const { return lengths.size(); }
};

struct TextDatasetOptions {
  std::int64_t l_max = 768;  // longest sequence kept, in tokens
  double val_split = 0.0;    // share that goes to validation; not above 0: no split
};

struct TextDataset {
  struct Part {
    SequenceSet sequences;
    std::size_t parsed = 0;   // blocks or entries given to this part
    std::size_t dropped = 0;  // of these, too short or longer than l_max
  };

  bool dictionary = false;  // L.2: entries; otherwise generic blocks
  Part train;
  Part val;  // empty without a split

  std::size_t parsed() const { return train.parsed + val.parsed; }
};

// L.1 to L.5. `name` stands in messages for the text, usually its path. Throws
// Error(CALM_CORRUPT_DATA) with the byte offset when the text is not UTF-8. A text without any
// block gives empty parts. With a split, dictionary entries are regrouped by lower-cased headword.
// [any]
TextDataset encode_text_dataset(std::string_view text, std::string_view name,
                                const TextDatasetOptions &options);

// The `--stats` listing of L.7, from the empty line on, every line ended by a line feed. Bytes of
// the sequences appear as Latin-1 characters: escape it with text::printable() for a terminal.
// [any]
std::string render_verification(const SequenceSet &sequences);

// L.6: `dir/name.ctds` -> `dir/name_val.ctds`. [any]
std::filesystem::path default_val_path(const std::filesystem::path &output);

}  // namespace calm::data
