#pragma once

#include "core/text/template.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

// Golden files of the reference implementation, in tests/parity/data.
namespace calm::golden {

inline std::string path(const std::string &name) {
  return std::string(CALM_TEST_DATA) + "/parity/data/" + name;
}

inline std::string bytes(const std::string &name) {
  std::ifstream file(path(name), std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path(name));
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Member `key` of a golden file, by value: a loop over it must not outlive the document.
inline nlohmann::json json(const std::string &name, const std::string &key) {
  return nlohmann::json::parse(bytes(name)).at(key);
}

inline std::vector<text::Token> ids(const nlohmann::json &value) {
  return value.get<std::vector<text::Token>>();
}

inline text::OptionValue option(const nlohmann::json &value) {
  if (value.is_boolean()) return {value.get<bool>()};
  if (value.is_number_integer()) return {value.get<std::int64_t>()};
  if (value.is_string()) return {value.get<std::string>()};
  if (value.is_array()) {
    text::OptionList list;
    for (const auto &item : value) list.push_back(option(item));
    return {list};
  }
  if (value.is_object()) {
    text::OptionMap map;
    for (const auto &[name, item] : value.items()) map[name] = option(item);
    return {map};
  }
  return {};
}

inline text::OptionMap options(const nlohmann::json &value) {
  return std::get<text::OptionMap>(option(value).value);
}

}  // namespace calm::golden
