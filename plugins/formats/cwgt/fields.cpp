#include "fields.hpp"

#include <algorithm>
#include <cmath>

namespace calm::cwgt {

void refuse(std::string_view name, const std::string &expected, const std::string &found) {
  throw Error(CALM_INVALID_ARGUMENT,
              std::string(name) + ": expected " + expected + ", found " + found);
}

const calm_value *Fields::take(std::string_view name) {
  taken_.push_back(name);
  return document_->field(name);
}

std::uint64_t Fields::integer(std::string_view name, std::uint64_t min, std::uint64_t max,
                              std::uint64_t fallback) {
  const calm_value *v = take(name);
  if (v == nullptr) {
    return fallback;
  }
  const std::string range =
      min == max ? std::to_string(min) : std::to_string(min) + " to " + std::to_string(max);
  if (v->type != CALM_VALUE_I64) {
    refuse(name, range, "a value that is not an integer");
  }
  const auto found = static_cast<std::uint64_t>(v->i64);
  if (v->i64 < 0 || found < min || found > max) {
    refuse(name, range, std::to_string(v->i64));
  }
  return found;
}

std::uint64_t Fields::size(std::string_view name, std::uint64_t max) {
  const std::uint64_t v = integer(name, 1, max, 0);
  if (v == 0) {
    refuse(name, "1 to " + std::to_string(max), "nothing");
  }
  return v;
}

std::uint64_t Fields::thousandths(std::string_view name, std::uint64_t max) {
  const calm_value *v = take(name);
  if (v == nullptr) {
    return 0;
  }
  if (v->type != CALM_VALUE_F64 && v->type != CALM_VALUE_I64) {
    refuse(name, "a number", "another type");
  }
  const double x = v->type == CALM_VALUE_F64 ? v->f64 : static_cast<double>(v->i64);
  const double scaled = std::trunc(x * 1000.0 + 0.5);
  if (!(x >= 0.0 && scaled <= static_cast<double>(max))) {  // so written that nan is refused
    refuse(name, "0 to " + std::to_string(max) + " thousandths", std::to_string(x));
  }
  return static_cast<std::uint64_t>(scaled);
}

std::string Fields::text(std::string_view name) {
  const calm_value *v = take(name);
  if (v != nullptr && v->type != CALM_VALUE_STR) {
    refuse(name, "a text", "another type");
  }
  return v == nullptr ? std::string() : copy(v->str);
}

bool Fields::flag(std::string_view name, bool fallback) {
  const calm_value *v = take(name);
  if (v != nullptr && v->type != CALM_VALUE_BOOL) {
    refuse(name, "true or false", "another type");
  }
  return v == nullptr ? fallback : v->i64 != 0;
}

void Fields::refuse_others() const {
  for (const calm_value &v : document_->fields()) {
    if (std::find(taken_.begin(), taken_.end(), view(v.name)) == taken_.end()) {
      refuse(view(v.name), "only fields that a CWGT file holds", "this one");
    }
  }
}

}  // namespace calm::cwgt
