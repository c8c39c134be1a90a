#include "core/text/field_input.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace calm::text {
namespace {

struct Anchor {
  std::size_t start;  // of the name
  std::size_t value;  // just after the colon
  const std::string *name;
};

// The first name of the list wins; at a given place the colon makes at most one distinct name fit.
const std::string *name_at(const std::vector<std::string> &names, std::string_view text) {
  const auto fits = [text](const std::string &name) {
    return text.size() > name.size() && text[name.size()] == ':' &&
           text.substr(0, name.size()) == name;
  };
  const auto found = std::find_if(names.begin(), names.end(), fits);
  return found == names.end() ? nullptr : &*found;
}

std::vector<Anchor> find_anchors(const std::vector<std::string> &names, std::string_view text) {
  std::vector<Anchor> anchors;
  for (std::size_t at = 0; at < text.size();) {
    const bool may_start = at == 0 || text[at - 1] == ' ';
    const std::string *name = may_start ? name_at(names, text.substr(at)) : nullptr;
    if (name == nullptr) {
      ++at;
      continue;
    }
    anchors.push_back({at, at + name->size() + 1, name});
    at = anchors.back().value;
  }
  return anchors;
}

OptionMap options_from_input(const std::vector<std::string> &names, std::string_view text) {
  OptionMap options;
  if (names.empty()) return options;
  if (names.size() > 1) {
    if (auto fields = parse_field_input(names, text)) {
      for (auto &[name, value] : *fields) options[name] = OptionValue{std::move(value)};
      return options;
    }
  }
  const bool has_input = std::find(names.begin(), names.end(), "input") != names.end();
  options[has_input ? "input" : names.front()] = OptionValue{std::string(text)};
  return options;
}

}  // namespace

std::optional<std::map<std::string, std::string>> parse_field_input(
    const std::vector<std::string> &names, std::string_view text) {
  const std::vector<Anchor> anchors = find_anchors(names, text);
  if (anchors.empty()) return std::nullopt;
  std::map<std::string, std::string> fields;
  for (std::size_t i = 0; i < anchors.size(); ++i) {
    // Every anchor but one at the very start follows a space: the separator, no part of this value.
    const bool last = i + 1 == anchors.size();
    const std::size_t end = last ? text.size() : anchors[i + 1].start - 1;
    std::string_view value = text.substr(anchors[i].value, end - anchors[i].value);
    if (!value.empty() && value.back() == ' ') value.remove_suffix(1);
    fields[*anchors[i].name] = std::string(value);
  }
  return fields;
}

std::vector<Token> input_sequence(std::string_view spec, std::string_view text,
                                  std::int64_t budget) {
  if (spec.empty()) {
    std::vector<Token> ids = {kBos};
    append_bytes(ids, text);
    return ids;
  }
  const Template layout = parse_template(spec);
  return build_sequence(layout, options_from_input(field_names(layout), text), budget);
}

}  // namespace calm::text
