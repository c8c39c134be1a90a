#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <calm/cpp/error.hpp>

/// Reading JSON that other programs wrote: every look names the key and says what was expected.
namespace calm::run {

[[noreturn]] inline void refuse_json(std::string_view key, std::string_view expected,
                                     std::string_view found) {
  throw Error(CALM_CORRUPT_DATA, fmt::format("{}: expected {}, found {}", key, expected, found));
}

inline std::string shown(const nlohmann::json &value) {
  if (value.is_structured()) {
    return value.is_array() ? "a list" : "an object";
  }
  constexpr std::size_t kMost = 60;
  const std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  return text.size() <= kMost ? text : text.substr(0, kMost) + "...";
}

// A member of an object and the path that messages call it by.
class JsonNode {
 public:
  JsonNode(const nlohmann::json &json, std::string key) : json_(&json), key_(std::move(key)) {}

  bool has(const char *name) const { return json_->contains(name) && !json_->at(name).is_null(); }
  JsonNode need(const char *name, bool object = false) const {
    if (!has(name)) {
      refuse_json(path(name), object ? "an object" : "a value", "nothing");
    }
    JsonNode child(json_->at(name), path(name));
    if (object && !child.json_->is_object()) {
      refuse_json(child.key_, "an object", shown(*child.json_));
    }
    return child;
  }
  JsonNode object(const char *name) const { return need(name, true); }

  std::string text() const {
    if (!json_->is_string()) {
      refuse_json(key_, "a text", shown(*json_));
    }
    return json_->get<std::string>();
  }
  std::int64_t whole(std::int64_t least = 0) const {
    if (!json_->is_number_integer() ||
        (json_->is_number_unsigned() &&
         json_->get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) ||
        json_->get<std::int64_t>() < least) {
      refuse_json(key_, fmt::format("a whole number of at least {}", least), shown(*json_));
    }
    return json_->get<std::int64_t>();
  }
  std::uint64_t count() const { return static_cast<std::uint64_t>(whole()); }
  double real() const {
    if (!json_->is_number()) {
      refuse_json(key_, "a number", shown(*json_));
    }
    return json_->get<double>();
  }
  const nlohmann::json &json() const { return *json_; }
  const std::string &key() const { return key_; }

  std::string text_or(const char *name, std::string fallback) const {
    return has(name) ? need(name).text() : std::move(fallback);
  }
  std::uint64_t count_or(const char *name, std::uint64_t fallback) const {
    return has(name) ? need(name).count() : fallback;
  }
  std::optional<double> real_if(const char *name) const {
    return has(name) ? std::optional<double>(need(name).real()) : std::nullopt;
  }
  std::optional<std::int64_t> whole_if(const char *name) const {
    return has(name) ? std::optional<std::int64_t>(need(name).whole()) : std::nullopt;
  }

 private:
  std::string path(const char *name) const { return key_.empty() ? name : key_ + "." + name; }

  const nlohmann::json *json_;
  std::string key_;
};

}  // namespace calm::run
