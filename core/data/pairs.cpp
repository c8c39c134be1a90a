#include "core/data/pairs.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/data/text_lines.hpp"

namespace calm::data {
namespace {

constexpr std::string_view kQueryTag = "<QUERY>";
constexpr std::string_view kAtnTag = "<ATN>";
constexpr std::string_view kRefTag = "<REF>";

std::size_t code_points(std::string_view utf8) {
  return static_cast<std::size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

// The state of H.2, line after line.
class Parser {
 public:
  void line(std::string_view text, std::uint64_t number) {
    if (text.starts_with(kQueryTag)) {
      if (query_) out_.replaced_queries.push_back(number);
      query_ = text.substr(kQueryTag.size());
      in_passage_ = false;
    } else if (text.starts_with(kAtnTag)) {
      return;
    } else if (text.starts_with(kRefTag)) {
      passage_ = text.substr(kRefTag.size());
      in_passage_ = true;
    } else if (text.empty()) {
      flush();
    } else if (in_passage_) {
      *passage_ += '\n';
      *passage_ += text;
    }
  }

  PairFile finish() {
    flush();
    return std::move(out_);
  }

 private:
  void flush() {
    if (query_ && passage_) {
      if (code_points(*query_) >= kShortestQuery && code_points(*passage_) >= kShortestPassage) {
        out_.pairs.push_back({std::move(*query_), std::move(*passage_)});
      } else {
        ++out_.too_short;
      }
    }
    query_.reset();
    passage_.reset();
    in_passage_ = false;
  }

  PairFile out_;
  std::optional<std::string> query_, passage_;
  bool in_passage_ = false;  // implies passage_
};

}  // namespace

PairFile parse_pairs(std::string_view text, std::string_view name) {
  expect_utf8(text, name);
  const std::string normalised = normalise_line_ends(text);
  Parser parser;
  std::string_view rest = normalised;
  for (std::uint64_t number = 1; !rest.empty(); ++number) parser.line(take_line(rest), number);
  return parser.finish();
}

std::vector<text::Token> encode_pair_text(std::string_view text, std::size_t l_max) {
  std::vector<text::Token> ids = {text::kBos};
  text::append_bytes(ids, text.substr(0, l_max - 2));
  ids.push_back(text::kEos);
  return ids;
}

}  // namespace calm::data
