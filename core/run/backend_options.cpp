#include "core/run/backend_options.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/text/printable.hpp"

namespace calm::run {

namespace {

template <class Number>
bool is_number(std::string_view text, Number *out) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return code == std::errc() && end == text.data() + text.size();
}

}  // namespace

OwnedValue parse_backend_option(std::string_view text, std::string_view origin) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("{}: expected KEY=VALUE, found \"{}\"", origin, text::printable(text)));
  }
  const std::string_view value = text.substr(equals + 1);
  OwnedValue option;
  option.name = text.substr(0, equals);
  if (value == "true" || value == "false") {
    option.type = CALM_VALUE_BOOL;
    option.i64 = value == "true" ? 1 : 0;
  } else if (is_number(value, &option.i64)) {
    option.type = CALM_VALUE_I64;
  } else if (is_number(value, &option.f64)) {
    option.type = CALM_VALUE_F64;
    option.i64 = 0;
  } else {
    option = {std::move(option.name), CALM_VALUE_STR, 0, 0, std::string(value)};
  }
  return option;
}

BackendOptions parse_backend_options(std::string_view list, std::string_view origin) {
  constexpr std::string_view kBlanks = " \t\n";
  BackendOptions options;
  for (std::size_t at = list.find_first_not_of(kBlanks); at != std::string_view::npos;) {
    const std::size_t end = std::min(list.find_first_of(kBlanks, at), list.size());
    set_option(options, parse_backend_option(list.substr(at, end - at), origin));
    at = list.find_first_not_of(kBlanks, end);
  }
  return options;
}

void set_option(BackendOptions &options, OwnedValue value) {
  std::erase_if(options, [&](const OwnedValue &other) { return other.name == value.name; });
  options.push_back(std::move(value));
}

}  // namespace calm::run
