#include "core/run/values.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include "core/base/suggest.hpp"

namespace calm::run {

namespace {

const char *type_name(calm_value_type type) {
  switch (type) {
    case CALM_VALUE_I64:
      return "an integer";
    case CALM_VALUE_F64:
      return "a number";
    case CALM_VALUE_STR:
      return "a string";
    case CALM_VALUE_BOOL:
      return "true or false";
    default:
      return "nothing";
  }
}

// So that it is seen why "4" and 4.0 are no integer.
std::string literal(const OwnedValue &value) {
  const std::string text = to_text(value);
  if (value.type == CALM_VALUE_STR) {
    return '"' + text + '"';
  }
  const bool whole = text.find_first_not_of("-0123456789") == std::string::npos;
  return value.type == CALM_VALUE_F64 && whole ? text + ".0" : text;
}

OwnedValue convert(const OwnedValue &given, const calm_value_spec &spec, const std::string &key) {
  OwnedValue value = given;
  if (spec.type == CALM_VALUE_F64 && given.type == CALM_VALUE_I64) {
    value.type = CALM_VALUE_F64;
    value.f64 = static_cast<double>(given.i64);
  }
  if (value.type != spec.type) {
    throw Error(CALM_INVALID_ARGUMENT,
                key + ": expected " + type_name(spec.type) + ", found " + literal(given));
  }
  if (!in_range(spec, value)) {
    const bool finite = value.type != CALM_VALUE_F64 || std::isfinite(value.f64);
    throw Error(CALM_INVALID_ARGUMENT,
                finite
                    ? fmt::format("{}: expected {} to {}, found {}", key, spec.min, spec.max,
                                  to_text(given))
                    : fmt::format("{}: expected a finite number, found {}", key, to_text(given)));
  }
  return value;
}

}  // namespace

std::string to_text(const OwnedValue &value) {
  switch (value.type) {
    case CALM_VALUE_I64:
      return fmt::format("{}", value.i64);
    case CALM_VALUE_F64:
      return fmt::format("{}", value.f64);
    case CALM_VALUE_BOOL:
      return value.i64 != 0 ? "true" : "false";
    default:
      return value.text;
  }
}

Values Values::resolve(const calm_table &schema, std::span<const OwnedValue> given,
                       std::string_view section) {
  const auto key_of = [&](std::string_view name) {
    return std::string(section) + "." + std::string(name);
  };
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < schema.count; ++i) {
    names.push_back(copy(record<calm_value_spec>(schema, i).name));
  }
  for (const OwnedValue &value : given) {
    if (std::find(names.begin(), names.end(), value.name) == names.end()) {
      throw Error(CALM_INVALID_ARGUMENT,
                  key_of(value.name) + ": unknown key" + did_you_mean(value.name, names));
    }
  }
  Values values;
  for (std::uint32_t i = 0; i < schema.count; ++i) {
    const auto &spec = record<calm_value_spec>(schema, i);
    const auto it = std::find_if(given.begin(), given.end(),
                                 [&](const OwnedValue &v) { return v.name == names[i]; });
    if (it != given.end()) {
      values.list_.push_back(convert(*it, spec, key_of(names[i])));
    } else if (spec.required != 0) {
      throw Error(CALM_INVALID_ARGUMENT,
                  key_of(names[i]) + ": expected " + type_name(spec.type) + ", found nothing");
    } else {
      values.list_.push_back({names[i], spec.type, spec.i64, spec.f64, copy(spec.str)});
    }
  }
  return values;
}

std::vector<calm_value> Values::records() const {
  std::vector<calm_value> records;
  for (const OwnedValue &v : list_) {
    records.push_back(v.record());
  }
  return records;
}

bool Values::has(std::string_view name) const {
  return std::any_of(list_.begin(), list_.end(),
                     [&](const OwnedValue &v) { return v.name == name; });
}

const OwnedValue &Values::at(std::string_view name) const {
  for (const OwnedValue &v : list_) {
    if (v.name == name) {
      return v;
    }
  }
  throw Error(CALM_INTERNAL, "no configuration value named " + std::string(name));
}

}  // namespace calm::run
