#include "schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace calm::next_token {

double learning_rate(const Schedule &s, std::uint64_t update) {
  if (s.warmup == 0) {
    return s.peak;
  }
  if (update < s.warmup) {
    return s.peak * static_cast<double>(update) / static_cast<double>(s.warmup);
  }
  const std::uint64_t decay = s.total > s.warmup ? s.total - s.warmup : 1;
  const double progress =
      std::min(1.0, static_cast<double>(update - s.warmup) / static_cast<double>(decay));
  return s.floor + 0.5 * (s.peak - s.floor) * (1.0 + std::cos(std::numbers::pi * progress));
}

}  // namespace calm::next_token
