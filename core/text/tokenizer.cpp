#include "core/text/tokenizer.hpp"

#include <calm/cpp/error.hpp>

#include "core/text/printable.hpp"
#include "core/text/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace calm::text {
namespace {

// In id order from 256.
constexpr std::array<std::string_view, 22> kSpecialNames = {
    "PAD",   "BOS",  "EOS", "ATN",  "CWD", "GIT",  "HIST", "EXIT", "CMD",   "ENV", "COMP",
    "QUERY", "NEXT", "END", "WORD", "POS", "NOTE", "IPA",  "DEF",  "QUOTE", "BY",  "REF"};

constexpr std::string_view kTokenizerName = "calm";

bool is_byte(Token id) { return id >= 0 && id < 256; }
bool is_printable_ascii(Token id) { return id >= 32 && id <= 126; }

std::string printed_special(Token id) {
  const std::string_view name = special_name(id);
  return name.empty() ? fmt::format("<RESERVED_{}>", id) : fmt::format("<{}>", name);
}

}  // namespace

std::optional<Token> special_by_name(std::string_view name) {
  if (name == "FILE") return kQuery;
  const auto found = std::find(kSpecialNames.begin(), kSpecialNames.end(), name);
  if (found == kSpecialNames.end()) return std::nullopt;
  return kPad + static_cast<Token>(std::distance(kSpecialNames.begin(), found));
}

std::string_view special_name(Token id) {
  if (id < kPad || id > kRef) return {};
  return kSpecialNames[static_cast<std::size_t>(id - kPad)];
}

void append_bytes(std::vector<Token> &out, std::string_view text) {
  out.reserve(out.size() + text.size());
  for (const char c : text) out.push_back(static_cast<unsigned char>(c));
}

std::vector<Token> encode(std::string_view text) {
  std::vector<Token> ids;
  append_bytes(ids, text);
  return ids;
}

std::vector<Token> encode_frame(Token token, std::string_view content) {
  std::vector<Token> ids = {token};
  append_bytes(ids, content);
  ids.push_back(kEnd);
  return ids;
}

std::string decode(std::span<const Token> ids) {
  std::string bytes;
  for (const Token id : ids) {
    if (is_byte(id)) bytes.push_back(static_cast<char>(id));
  }
  return bytes;
}

std::string decode_str(std::span<const Token> ids) {
  std::string bytes;
  bytes.reserve(ids.size());
  for (const Token id : ids) bytes.push_back(is_byte(id) ? static_cast<char>(id) : ' ');
  return replace_invalid_utf8(bytes);
}

std::string decode_with_specials(std::span<const Token> ids) {
  std::string text;
  for (const Token id : ids) {
    if (is_printable_ascii(id)) {
      text.push_back(static_cast<char>(id));
    } else if (is_byte(id)) {
      fmt::format_to(std::back_inserter(text), "\\x{:02x}", id);
    } else {
      text += printed_special(id);
    }
  }
  return text;
}

std::string token_name(Token id) {
  if (id == '\\') return "\\\\";
  if (is_printable_ascii(id)) return std::string(1, static_cast<char>(id));
  if (is_byte(id)) return fmt::format("0x{:02x}", id);
  return printed_special(id);
}

std::size_t find_cmd_pos(std::span<const Token> ids) {
  const auto found = std::find(ids.begin(), ids.end(), kAtn);
  return found == ids.end() ? 0 : static_cast<std::size_t>(std::distance(ids.begin(), found));
}

TokenizerInfo tokenizer_info() {
  TokenizerInfo info{std::string(kTokenizerName), kVocabSize, kPad, {}};
  for (Token id = kPad; id <= kRef; ++id) info.special_tokens.emplace_back(id, printed_special(id));
  return info;
}

void check_tokenizer_name(std::string_view name) {
  if (name != kTokenizerName) {
    throw Error(CALM_CORRUPT_DATA,
                fmt::format("expected tokenizer '{}', found '{}'", kTokenizerName,
                            printable(name, LineFeeds::kEscape)));
  }
}

}  // namespace calm::text
