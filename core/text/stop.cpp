#include "core/text/stop.hpp"

#include "core/text/unicode.hpp"

#include <algorithm>
#include <cstddef>

namespace calm::text {

std::vector<std::string> parse_stop_conditions(std::string_view spec) {
  const std::vector<std::string_view> pieces = split_white_space(spec);
  return {pieces.begin(), pieces.end()};
}

bool check_stop(std::vector<Token> &generated, Token next,
                const std::vector<std::string> &patterns) {
  const auto equal = [](Token id, char byte) { return id == static_cast<unsigned char>(byte); };
  for (const std::string &pattern : patterns) {
    if (pattern.empty() || !equal(next, pattern.back())) continue;
    const std::size_t before = pattern.size() - 1;
    if (generated.size() < before) continue;
    const auto tail = generated.end() - static_cast<std::ptrdiff_t>(before);
    if (std::equal(tail, generated.end(), pattern.begin(), pattern.end() - 1, equal)) {
      generated.erase(tail, generated.end());
      return true;
    }
  }
  return false;
}

}  // namespace calm::text
