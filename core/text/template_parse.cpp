#include "core/text/template.hpp"

#include <calm/cpp/error.hpp>

#include "core/text/printable.hpp"
#include "core/text/unicode.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <optional>

namespace calm::text {
namespace {

// Reads an entry from the left; every try either takes a part or leaves the cursor where it was.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // [A-Z]+, empty when there is none.
  std::string_view take_token() {
    return take_run([](char c) { return c >= 'A' && c <= 'Z'; });
  }

  // [A-Za-z_][A-Za-z0-9_]*, empty when there is none.
  std::string_view take_field() {
    if (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') return {};
    return take_run([](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    });
  }

 private:
  template <typename Predicate>
  std::string_view take_run(Predicate predicate) {
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), predicate);
    const auto size = static_cast<std::size_t>(std::distance(rest_.begin(), end));
    const std::string_view run = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return run;
  }

  std::string_view rest_;
};

[[noreturn]] void fail(std::string_view entry, std::string_view expected, std::string_view found) {
  throw Error(CALM_INVALID_ARGUMENT, fmt::format("template: entry '{}': expected {}, found '{}'",
                                                 printable(entry, LineFeeds::kEscape), expected,
                                                 printable(found, LineFeeds::kEscape)));
}

Token token_id(std::string_view name, std::string_view entry) {
  const std::optional<Token> id = special_by_name(name);
  if (!id) fail(entry, "the name of a special token", name);
  return *id;
}

Subtoken parse_subtoken(std::string_view piece, std::string_view entry) {
  Cursor cursor(piece);
  const std::string_view name = cursor.take_token();
  if (name.empty()) fail(entry, "a subtoken", piece);
  const Token token = token_id(name, entry);
  if (cursor.done()) {
    if (token != kBos && token != kEos && token != kAtn && token != kPad) {
      fail(entry, "a subtoken with a field, or bare BOS, EOS, ATN or PAD", piece);
    }
    return {token, {}};
  }
  if (!cursor.take(':')) fail(entry, "a subtoken", piece);
  const std::string_view field = cursor.take_field();
  if (field.empty() || !cursor.done()) fail(entry, "a subtoken with a field", piece);
  return {token, std::string(field)};
}

// Pieces between slashes; empty pieces are ignored (B.1).
std::vector<Subtoken> parse_subtokens(std::string_view text, std::string_view entry) {
  std::vector<Subtoken> subtokens;
  while (!text.empty()) {
    const std::size_t slash = std::min(text.find('/'), text.size());
    if (slash > 0) subtokens.push_back(parse_subtoken(text.substr(0, slash), entry));
    text.remove_prefix(std::min(slash + 1, text.size()));
  }
  return subtokens;
}

Element parse_entry(std::string_view entry) {
  Cursor cursor(entry);
  const std::string_view name = cursor.take_token();
  if (name.empty()) fail(entry, "a token name in capitals", entry);
  Element element{ElementKind::kBare, token_id(name, entry), {}, {}, {}};
  if (cursor.done()) return element;

  const bool has_primary = cursor.take('(');
  if (has_primary) {
    element.primary_key = cursor.take_field();
    if (element.primary_key.empty() || !cursor.take(')')) {
      fail(entry, "a field name and ')'", cursor.rest());
    }
  }
  if (!cursor.take(':')) fail(entry, "':'", cursor.rest());
  element.field = cursor.take_field();
  if (element.field.empty()) fail(entry, "a field name", cursor.rest());

  if (has_primary) {
    if (!cursor.take('*')) fail(entry, "'*'", cursor.rest());
    element.kind = ElementKind::kRepeatedSub;
    element.subtokens = parse_subtokens(cursor.rest(), entry);
  } else if (cursor.done()) {
    element.kind = ElementKind::kFrame;
  } else if (cursor.rest() == "+") {
    element.kind = ElementKind::kList;
  } else if (cursor.rest() == "*") {
    element.kind = ElementKind::kRepeated;
  } else if (cursor.take('/')) {
    if (cursor.done()) fail(entry, "subtokens after '/'", "");
    element.kind = ElementKind::kFrameSub;
    element.subtokens = parse_subtokens(cursor.rest(), entry);
  } else {
    fail(entry, "'/', '+', '*' or the end of the entry", cursor.rest());
  }
  return element;
}

// B.2: after the last bare ATN, the last frame stays open for the model.
void mark_terminal(std::vector<Element> &elements) {
  Element *last_frame = nullptr;
  for (auto element = elements.rbegin(); element != elements.rend(); ++element) {
    const bool is_frame =
        element->kind == ElementKind::kFrame || element->kind == ElementKind::kFrameSub;
    if (is_frame && last_frame == nullptr) last_frame = &*element;
    if (element->kind == ElementKind::kBare && element->token == kAtn) {
      if (last_frame != nullptr) last_frame->terminal = true;
      return;
    }
  }
}

}  // namespace

std::string_view kind_name(ElementKind kind) {
  static constexpr std::array<std::string_view, 6> kNames = {"bare", "frame",    "frame_sub",
                                                             "list", "repeated", "repeated_sub"};
  return kNames[static_cast<std::size_t>(kind)];
}

Template parse_template(std::string_view spec) {
  Template layout;
  std::string_view rest = spec;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(';'), rest.size());
    const std::string_view entry = strip(rest.substr(0, end));
    if (!entry.empty()) layout.elements.push_back(parse_entry(entry));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (layout.elements.empty()) {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("template: expected at least one entry, found '{}'",
                            printable(spec, LineFeeds::kEscape)));
  }
  mark_terminal(layout.elements);
  return layout;
}

std::vector<std::string> field_names(const Template &layout) {
  std::vector<std::string> names;
  for (const Element &element : layout.elements) {
    if (!element.field.empty()) names.push_back(element.field);
    for (const Subtoken &subtoken : element.subtokens) {
      if (!subtoken.bare()) names.push_back(subtoken.field);
    }
  }
  return names;
}

std::string describe_fields(std::string_view spec) {
  if (spec.empty()) return "(no template)\n";
  std::string text = fmt::format("template: {}\n", spec);
  Template layout;
  try {
    layout = parse_template(spec);
  } catch (const Error &error) {
    return text + fmt::format("(parse error: {})\n", error.what());
  }

  const auto out = std::back_inserter(text);
  text += "fields:\n";
  for (const Element &element : layout.elements) {
    if (element.field.empty()) continue;
    fmt::format_to(out, "  {:<16} {:<6} {}{}\n", element.field, special_name(element.token),
                   kind_name(element.kind), element.terminal ? " (terminal)" : "");
    for (const Subtoken &subtoken : element.subtokens) {
      const std::string_view name = special_name(subtoken.token);
      if (subtoken.bare()) {
        fmt::format_to(out, "    {:<14}        (bare)\n", name);
      } else {
        fmt::format_to(out, "    {:<14} {:<6} (subtoken)\n", subtoken.field, name);
      }
    }
    if (!element.primary_key.empty()) {
      fmt::format_to(out, "    {:<14} (primary key)\n", element.primary_key);
    }
  }
  return text;
}

}  // namespace calm::text
