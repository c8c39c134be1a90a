#include "frontends/cli/old/python_text.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

namespace calm::cli {

std::string python_float(double value) {
  if (std::isnan(value)) {
    return "nan";
  }
  if (std::isinf(value)) {
    return value < 0 ? "-inf" : "inf";
  }
  const double size = std::fabs(value);
  const bool positional = value == 0 || (size >= 1e-4 && size < 1e16);
  std::array<char, 64> digits{};  // the shortest form has at most 24
  const auto [end, code] =
      std::to_chars(digits.data(), digits.data() + digits.size(), value,
                    positional ? std::chars_format::fixed : std::chars_format::scientific);
  std::string text(digits.data(), end);
  if (positional && text.find('.') == std::string::npos) {
    text += ".0";
  }
  return text;
}

std::string python_fixed(double value, int digits) {
  return std::isnan(value) ? "nan" : fmt::format("{:.{}f}", value, digits);
}

}  // namespace calm::cli
