#include "core/data/text_sequence.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace calm::data {
namespace {

using text::Token;

// A line's `<NAME>` at its start. An unknown name leaves `token` empty.
struct Tag {
  std::optional<Token> token;
  std::string_view content;  // the rest of the line
};

std::optional<Tag> parse_tag(std::string_view line) {
  if (line.empty() || line.front() != '<') return std::nullopt;
  std::size_t end = 1;
  while (end < line.size() && line[end] >= 'A' && line[end] <= 'Z') ++end;
  if (end == 1 || end == line.size() || line[end] != '>') return std::nullopt;
  return Tag{text::special_by_name(line.substr(1, end - 1)), line.substr(end + 1)};
}

bool is_standalone(Token token) {
  return token == text::kPad || token == text::kBos || token == text::kEos || token == text::kAtn;
}

bool starts_frame(Token token) {
  static constexpr std::array kStarters = {text::kCwd, text::kGit,   text::kHist,  text::kCmd,
                                           text::kEnv, text::kComp,  text::kQuery, text::kWord,
                                           text::kDef, text::kQuote, text::kRef};
  return std::find(kStarters.begin(), kStarters.end(), token) != kStarters.end();
}

struct ContentMark {
  std::string_view text;
  Token token;
};

// The subtokens that are recognised inside the content of a frame.
std::span<const ContentMark> content_marks(Token frame) {
  static constexpr std::array<ContentMark, 1> kHistMarks = {{{"<EXIT>", text::kExit}}};
  static constexpr std::array<ContentMark, 1> kCompMarks = {{{"<NEXT>", text::kNext}}};
  static constexpr std::array<ContentMark, 3> kWordMarks = {
      {{"<POS>", text::kPos}, {"<NOTE>", text::kNote}, {"<IPA>", text::kIpa}}};
  static constexpr std::array<ContentMark, 1> kQuoteMarks = {{{"<BY>", text::kBy}}};
  static constexpr std::array<ContentMark, 1> kRefMarks = {{{"<NOTE>", text::kNote}}};
  switch (frame) {
    case text::kHist:
      return kHistMarks;
    case text::kComp:
      return kCompMarks;
    case text::kWord:
      return kWordMarks;
    case text::kQuote:
      return kQuoteMarks;
    case text::kRef:
      return kRefMarks;
    default:
      return {};
  }
}

void append_content(std::string_view content, std::span<const ContentMark> marks,
                    SequenceBuffer &out) {
  while (!content.empty()) {
    const auto mark = std::find_if(marks.begin(), marks.end(), [content](const ContentMark &m) {
      return content.substr(0, m.text.size()) == m.text;
    });
    if (mark != marks.end()) {
      out.push(mark->token);
      content.remove_prefix(mark->text.size());
      continue;
    }
    const std::size_t next = std::min(content.find('<', 1), content.size());
    out.push_bytes(content.substr(0, next));
    content.remove_prefix(next);
  }
}

void append_line(std::string_view line, bool auto_atn, SequenceBuffer &out) {
  const std::optional<Tag> tag = parse_tag(line);
  const Token token = tag ? tag->token.value_or(text::kVocabSize) : text::kVocabSize;
  if (is_standalone(token)) {
    out.push(token);
  } else if (starts_frame(token)) {
    if (token == text::kCmd && auto_atn) out.push(text::kAtn);
    out.push(token);
    append_content(tag->content, content_marks(token), out);
    out.push(text::kEnd);
  } else {
    out.push_bytes(line);
  }
}

}  // namespace

void append_block(const std::vector<std::string_view> &lines, SequenceBuffer &out) {
  const bool has_atn = std::any_of(lines.begin(), lines.end(), [](std::string_view line) {
    return line.substr(0, 5) == "<ATN>";
  });
  out.push(text::kBos);
  for (const std::string_view line : lines) append_line(line, !has_atn, out);
  out.push(text::kEos);
}

}  // namespace calm::data
