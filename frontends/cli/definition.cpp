#include "frontends/cli/definition.hpp"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "core/text/unicode.hpp"
#include "core/text/utf8.hpp"

namespace calm::cli {

namespace {

// Bytes up to the next special token.
std::string take_bytes(std::span<const text::Token> ids, std::size_t &at) {
  std::string bytes;
  while (at < ids.size() && ids[at] < 256) {
    bytes += static_cast<char>(ids[at++]);
  }
  const std::string valid = text::replace_invalid_utf8(bytes);
  return std::string(text::strip(valid));
}

}  // namespace

Definition read_definition(std::span<const text::Token> ids) {
  Definition out;
  for (std::size_t at = 0; at < ids.size();) {
    const text::Token token = ids[at];
    at += token >= 256 ? 1 : 0;
    std::string text = take_bytes(ids, at);
    Definition::Sense *sense = out.senses.empty() ? nullptr : &out.senses.back();
    switch (token) {
      case text::kPos:
        out.pos = std::move(text);
        break;
      case text::kNote:
        out.note = std::move(text);
        break;
      case text::kIpa:
        out.ipa = std::move(text);
        break;
      case text::kDef:
        if (!text.empty()) {
          out.senses.push_back({std::move(text), {}});
        }
        break;
      case text::kQuote:
        if (sense != nullptr && !text.empty()) {
          sense->quotes.push_back({std::move(text), {}});
        }
        break;
      case text::kBy:
        if (sense != nullptr && !sense->quotes.empty()) {
          sense->quotes.back().author = std::move(text);
        }
        break;
      default:
        break;
    }
  }
  return out;
}

}  // namespace calm::cli
