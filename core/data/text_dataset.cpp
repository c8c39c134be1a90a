#include "core/data/text_dataset.hpp"

#include "core/data/md5.hpp"
#include "core/data/text_lines.hpp"
#include "core/data/text_sequence.hpp"
#include "core/text/unicode.hpp"
#include "core/text/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <memory>
#include <unordered_map>

namespace calm::data {
namespace {

// L.3 and L.4: shorter sequences hold nothing to learn.
constexpr std::size_t kShortestBlock = 3;
constexpr std::size_t kShortestEntry = 4;

// L.5: the same text falls on the same side in every file and every run.
class Splitter {
 public:
  explicit Splitter(double share) : share_(share) {}

  bool to_validation(std::string_view key) const {
    std::uint32_t remainder = 0;  // of the sum as one big-endian number
    for (const std::uint8_t byte : md5_(key)) remainder = (remainder * 256 + byte) % 1000;
    return static_cast<double>(remainder) < share_ * 1000.0;
  }

 private:
  double share_;
  Md5 md5_;
};

void add(const SequenceBuffer &buffer, std::size_t shortest, std::int64_t l_max,
         TextDataset::Part &part) {
  const std::vector<std::uint16_t> &tokens = buffer.tokens();
  ++part.parsed;
  const auto longest = static_cast<std::uint64_t>(
      std::clamp<std::int64_t>(l_max, 0, std::numeric_limits<std::uint32_t>::max()));
  if (tokens.size() < shortest || tokens.size() > longest) {
    ++part.dropped;
    return;
  }
  const auto atn = std::find(tokens.begin(), tokens.end(), text::kAtn);
  const auto position = atn == tokens.end() ? 0 : std::distance(tokens.begin(), atn);
  SequenceSet &set = part.sequences;
  set.tokens.insert(set.tokens.end(), tokens.begin(), tokens.end());
  set.lengths.push_back(static_cast<std::uint32_t>(tokens.size()));
  set.cmd_pos.push_back(static_cast<std::uint32_t>(position));
}

std::string join_lines(const std::vector<std::string_view> &lines) {
  return fmt::format("{}", fmt::join(lines, "\n"));
}

void encode_blocks(std::string_view text, const Splitter *splitter, std::int64_t l_max,
                   TextDataset &out) {
  std::vector<std::string_view> lines;
  SequenceBuffer buffer;
  const auto finish_block = [&] {
    if (lines.empty()) return;
    const bool to_val = splitter != nullptr && splitter->to_validation(join_lines(lines));
    buffer.clear();
    append_block(lines, buffer);
    add(buffer, kShortestBlock, l_max, to_val ? out.val : out.train);
    lines.clear();
  };
  while (!text.empty()) {
    const std::string_view line = text::strip(take_line(text));
    if (line.empty()) {
      finish_block();
    } else {
      lines.push_back(line);
    }
  }
  finish_block();
}

// L.5: entries of one lower-cased headword stay together, groups in order of first appearance.
// What falls to validation is listed with `val` set.
struct Group {
  bool val;
  std::vector<const DictionaryEntry *> entries;
};

std::vector<Group> group_entries(const std::vector<DictionaryEntry> &entries,
                                 const Splitter &splitter) {
  std::vector<Group> groups;
  std::unordered_map<std::string, std::size_t> index;
  for (const DictionaryEntry &entry : entries) {
    const auto [found, is_new] = index.try_emplace(text::to_lower(entry.headword), groups.size());
    if (is_new) groups.push_back({splitter.to_validation(found->first), {}});
    groups[found->second].entries.push_back(&entry);
  }
  return groups;
}

void encode_dictionary(std::string_view text, const Splitter *splitter, std::int64_t l_max,
                       TextDataset &out) {
  const std::vector<DictionaryEntry> entries = parse_dictionary(text);
  SequenceBuffer buffer;
  const auto encode = [&](const DictionaryEntry &entry, TextDataset::Part &part) {
    buffer.clear();
    append_entry(entry, buffer);
    add(buffer, kShortestEntry, l_max, part);
  };
  if (splitter == nullptr) {
    for (const DictionaryEntry &entry : entries) encode(entry, out.train);
    return;
  }
  for (const Group &group : group_entries(entries, *splitter)) {
    for (const DictionaryEntry *entry : group.entries) {
      encode(*entry, group.val ? out.val : out.train);
    }
  }
}

}  // namespace

TextDataset encode_text_dataset(std::string_view text, std::string_view name,
                                const TextDatasetOptions &options) {
  expect_utf8(text, name);
  std::string normalised;
  if (text.find('\r') != std::string_view::npos) {
    normalised = normalise_line_ends(text);
    text = normalised;
  }

  std::unique_ptr<Splitter> splitter;
  if (options.val_split > 0.0) splitter = std::make_unique<Splitter>(options.val_split);
  TextDataset dataset;
  dataset.dictionary = text::strip(text).substr(0, 6) == "<WORD>";
  const auto encode = dataset.dictionary ? encode_dictionary : encode_blocks;
  encode(text, splitter.get(), options.l_max, dataset);
  return dataset;
}

std::string render_verification(const SequenceSet &sequences) {
  constexpr std::size_t kShown = 3;
  constexpr std::size_t kCharacters = 120;

  const auto longest = std::max_element(sequences.lengths.begin(), sequences.lengths.end());
  std::string out =
      fmt::format("\n--- Verification ---\nCTDS sequences: {}\nMax sequence length: {}\n",
                  sequences.size(), longest == sequences.lengths.end() ? 0 : *longest);

  std::size_t start = 0;
  for (std::size_t i = 0; i < std::min(kShown, sequences.size()); ++i) {
    const std::size_t length = sequences.lengths[i];
    std::u32string text;
    for (std::size_t j = 1; j + 1 < length && text.size() < kCharacters; ++j) {
      const std::uint16_t id = sequences.tokens[start + j];
      if (id < 256) {
        text.push_back(id);
      } else if (const std::string_view special = text::special_name(id); !special.empty()) {
        text.push_back('<');
        text.append(special.begin(), special.end());
        text.push_back('>');
      }
    }
    text.resize(std::min(text.size(), kCharacters));

    fmt::format_to(std::back_inserter(out), "  [{}] len={} cmd_pos={} ", i, length,
                   sequences.cmd_pos[i]);
    for (const char32_t character : text) text::append_utf8(out, character);
    out += "...\n";
    start += length;
  }
  return out;
}

std::filesystem::path default_val_path(const std::filesystem::path &output) {
  std::filesystem::path path = output;
  path.replace_filename(output.stem().concat("_val.ctds"));
  return path;
}

}  // namespace calm::data
