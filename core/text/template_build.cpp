#include "core/text/template.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace calm::text {
namespace {

constexpr std::size_t kMaxListItems = 15;

// Absent options and options of an unfit type look the same from here.
template <typename T>
const T *find_as(const OptionMap &options, std::string_view field) {
  const auto found = options.find(field);
  return found == options.end() ? nullptr : std::get_if<T>(&found->second.value);
}

// B.4 as a subtoken sees it: 0 is a real value, and so is the empty string.
std::optional<std::string> text_value(const OptionMap &options, std::string_view field) {
  if (const auto *text = find_as<std::string>(options, field)) return *text;
  if (const auto *number = find_as<std::int64_t>(options, field)) return std::to_string(*number);
  return std::nullopt;
}

// B.4 as a main value or a primary key sees it: 0 and the empty string are absent, and both are "".
std::string main_value(const OptionMap &options, std::string_view field) {
  if (const auto *number = find_as<std::int64_t>(options, field); number && *number == 0) return {};
  return text_value(options, field).value_or(std::string());
}

bool truthy(const OptionMap &options, std::string_view field) {
  if (const auto *flag = find_as<bool>(options, field)) return *flag;
  if (const auto *list = find_as<OptionList>(options, field)) return !list->empty();
  if (const auto *map = find_as<OptionMap>(options, field)) return !map->empty();
  return !main_value(options, field).empty();
}

std::vector<Token> plain_frame(const Element &element, std::string_view value) {
  if (value.empty())
    return element.terminal ? std::vector<Token>{element.token} : std::vector<Token>{};
  std::vector<Token> ids = encode_frame(element.token, value);
  if (element.terminal) ids.pop_back();
  return ids;
}

// frame_sub and the items of repeated_sub (B.5, 1 and 3). Empty when there is no main value.
std::vector<Token> frame_with_subtokens(const Element &element, std::string_view value,
                                        const OptionMap &values) {
  if (value.empty()) return {};
  std::vector<Token> ids = {element.token};
  append_bytes(ids, value);
  // Fields that are missing after a bare ATN are what the model is asked for: the frame stays open.
  bool after_atn = false;
  bool open = element.terminal;
  for (const Subtoken &subtoken : element.subtokens) {
    if (subtoken.bare()) {
      ids.push_back(subtoken.token);
      after_atn = after_atn || subtoken.token == kAtn;
    } else if (const auto text = text_value(values, subtoken.field)) {
      ids.push_back(subtoken.token);
      append_bytes(ids, *text);
    } else {
      open = open || after_atn;
    }
  }
  if (!open) ids.push_back(kEnd);
  return ids;
}

std::vector<Token> list_frame(const Element &element, const OptionList &items) {
  std::vector<Token> ids;
  for (std::size_t i = 0; i < std::min(items.size(), kMaxListItems); ++i) {
    const auto *text = std::get_if<std::string>(&items[i].value);
    if (text == nullptr) continue;
    ids.push_back(ids.empty() ? element.token : kNext);
    append_bytes(ids, *text);
  }
  if (!ids.empty()) ids.push_back(kEnd);
  return ids;
}

std::vector<Token> item_frame(const Element &element, const OptionValue &item) {
  if (element.kind == ElementKind::kRepeated) {
    const auto *text = std::get_if<std::string>(&item.value);
    return text == nullptr || text->empty() ? std::vector<Token>{}
                                            : encode_frame(element.token, *text);
  }
  const auto *map = std::get_if<OptionMap>(&item.value);
  if (map == nullptr) return {};
  return frame_with_subtokens(element, main_value(*map, element.primary_key), *map);
}

bool is_flexible(const Element &element) {
  return element.kind == ElementKind::kRepeated || element.kind == ElementKind::kRepeatedSub;
}

std::vector<Token> fixed_part(const Element &element, const OptionMap &options) {
  switch (element.kind) {
    case ElementKind::kBare:
      return {element.token};
    case ElementKind::kFrame:
      return plain_frame(element, main_value(options, element.field));
    case ElementKind::kFrameSub:
      return frame_with_subtokens(element, main_value(options, element.field), options);
    case ElementKind::kList:
      if (const auto *items = find_as<OptionList>(options, element.field)) {
        return list_frame(element, *items);
      }
      return {};
    case ElementKind::kRepeated:
    case ElementKind::kRepeatedSub:
      return {};
  }
  return {};
}

// B.5.4 and 5: the newest items that fit into `remaining`, oldest first; what they cost is
// deducted.
std::vector<Token> flexible_part(const Element &element, const OptionMap &options,
                                 std::int64_t &remaining) {
  const auto *items = find_as<OptionList>(options, element.field);
  if (items == nullptr) return {};
  std::vector<std::vector<Token>> newest_first;
  for (auto item = items->rbegin(); item != items->rend(); ++item) {
    std::vector<Token> frame = item_frame(element, *item);
    if (frame.empty()) continue;
    const auto cost = static_cast<std::int64_t>(frame.size());
    if (cost > remaining) break;
    remaining -= cost;
    newest_first.push_back(std::move(frame));
  }
  std::vector<Token> ids;
  for (auto frame = newest_first.rbegin(); frame != newest_first.rend(); ++frame) {
    ids.insert(ids.end(), frame->begin(), frame->end());
  }
  return ids;
}

}  // namespace

std::vector<Token> build_sequence(const Template &layout, const OptionMap &options,
                                  std::int64_t budget) {
  std::vector<std::vector<Token>> parts;
  std::int64_t fixed_cost = 0;
  for (const Element &element : layout.elements) {
    parts.push_back(fixed_part(element, options));
    fixed_cost += static_cast<std::int64_t>(parts.back().size());
  }

  // Compared before subtracting, so that no budget can overflow.
  std::int64_t remaining = budget > fixed_cost ? budget - fixed_cost : 0;
  std::vector<Token> ids;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Element &element = layout.elements[i];
    if (is_flexible(element)) parts[i] = flexible_part(element, options, remaining);
    ids.insert(ids.end(), parts[i].begin(), parts[i].end());
  }
  if (truthy(options, "eos")) ids.push_back(kEos);
  return ids;
}

}  // namespace calm::text
