#include "foldoc.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include <common/plain.hpp>

#include "dictfmt.hpp"

namespace calm::dictionary {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::size_t kLongestTopic = 60;

bool is_date(std::string_view text) {
  constexpr std::string_view kShape = "(0000-00-00)";
  return text.size() == kShape.size() &&
         std::equal(text.begin(), text.end(), kShape.begin(), [](char c, char shape) {
           return shape == '0' ? c >= '0' && c <= '9' : c == shape;
         });
}

bool is_source(std::string_view text) {
  return text.starts_with("[{") ||
         (text.starts_with("[") && (text.ends_with("]") || text.ends_with("].")));
}

bool is_question(std::string_view text) { return text.ends_with("?]"); }

// Nothing but {links} to addresses.
bool is_addresses(std::string_view text) {
  if (text.starts_with("(http")) {
    return true;
  }
  std::size_t outside = 0;
  bool inside = false;
  for (const char c : text) {
    inside = c == '{' || (inside && c != '}');
    outside += !inside && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) ? 1u : 0u;
  }
  return outside < 16 && (text.find("(http") != npos || text.find("(ftp") != npos ||
                          text.find("(rfc:") != npos || text.find("(mailto") != npos);
}

// Takes "<topic> " off the beginning.
std::string take_topic(std::string_view &text) {
  const std::size_t close = text.starts_with("<") ? text.find('>') : npos;
  if (close > kLongestTopic) {  // npos is more
    return {};
  }
  std::string topic(text.substr(1, close - 1));
  text.remove_prefix(close + 1);
  text = sources::trim(text);
  return topic;
}

}  // namespace

std::vector<Entry> parse_foldoc(std::string_view record) {
  const std::vector<std::string> parts = dictfmt::paragraphs(record);
  if (parts.empty()) {
    return {};
  }
  Entry entry;
  // Other spellings follow it, on lines of their own or behind "%%%".
  record.remove_prefix(std::min(record.find_first_not_of(" \t\r\n"), record.size()));
  const std::string_view head = sources::take_line(record);
  entry.headword = head.substr(0, head.find("%%%"));
  bool first = true;
  for (auto part = parts.begin() + 1; part != parts.end(); ++part) {
    std::string_view text = *part;
    if (is_date(text) || is_source(text) || is_question(text) || is_addresses(text)) {
      continue;
    }
    const bool numbered = dictfmt::take_number(text);
    const std::string topic = take_topic(text);
    const std::string pronunciation = dictfmt::take_pronunciation(text);
    if (entry.ipa.empty()) {
      entry.ipa = pronunciation;
    }
    const bool sense = first || numbered || !topic.empty();
    std::string words = topic.empty() ? std::string() : "(" + topic + ") ";
    words += dictfmt::without_links(text);
    entry.items.push_back({sense ? ItemKind::kSense : ItemKind::kRemark, std::move(words), {}});
    first = false;
  }
  return {entry};
}

bool looks_like_foldoc(std::string_view record) {
  const std::vector<std::string> parts = dictfmt::paragraphs(record);
  return parts.size() > 1 && parts[1].starts_with("<");
}

}  // namespace calm::dictionary
