#pragma once

#include "core/text/tokenizer.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

// How blocks and dictionary entries become token sequences (spec L.3, L.4). Internal to core/data;
// views point into the text they were parsed from.
namespace calm::data {

// One sequence under construction, reused from source to source.
class SequenceBuffer {
 public:
  void clear() { tokens_.clear(); }
  void push(text::Token token) { tokens_.push_back(static_cast<std::uint16_t>(token)); }
  void push_bytes(std::string_view bytes) {
    for (const char c : bytes) tokens_.push_back(static_cast<unsigned char>(c));
  }
  const std::vector<std::uint16_t> &tokens() const { return tokens_; }

 private:
  std::vector<std::uint16_t> tokens_;
};

// L.3: the stripped, non-empty lines of one generic block.
void append_block(const std::vector<std::string_view> &lines, SequenceBuffer &out);

struct Quote {
  std::string_view text;
  std::string_view author;  // may be empty
};

struct Definition {
  std::string_view text;
  std::vector<Quote> quotes;
};

struct DictionaryEntry {
  std::string_view headword, pos, note, ipa;  // stripped; each may be empty
  std::vector<Definition> definitions;
};

// L.4: the entries of a dictionary text, in its order; only those with a definition.
std::vector<DictionaryEntry> parse_dictionary(std::string_view text);

// L.4: the sequence of one entry.
void append_entry(const DictionaryEntry &entry, SequenceBuffer &out);

}  // namespace calm::data
