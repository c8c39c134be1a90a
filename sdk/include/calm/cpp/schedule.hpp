#pragma once

#include <calm/base.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

namespace calm {

/// Learning rate of the update after `update` earlier ones: linear warm-up from 0 over
/// `warmup_steps` updates, then a cosine from `learning_rate` down to `min_lr` (spec I.6.2, I.7).
/// The plan may end before the run does (I.3): `min_lr` from there on. Without warm-up the rate is
/// constant. `options` is a resolved section with those three keys.
inline double warmup_cosine(std::span<const calm_value> options, std::uint64_t update,
                            std::uint64_t total) {
  const double peak = find(options, "learning_rate").f64;
  const double floor = find(options, "min_lr").f64;
  const auto warmup = static_cast<std::uint64_t>(find(options, "warmup_steps").i64);
  if (warmup == 0) {
    return peak;
  }
  if (update < warmup) {
    return peak * static_cast<double>(update) / static_cast<double>(warmup);
  }
  const std::uint64_t decay = total > warmup ? total - warmup : 1;
  const double progress =
      std::min(1.0, static_cast<double>(update - warmup) / static_cast<double>(decay));
  return floor + 0.5 * (peak - floor) * (1.0 + std::cos(std::numbers::pi * progress));
}

/// The same as `calm_trainer.learning_rate`.
inline calm_status warmup_cosine_rate(const calm_value *options, std::uint32_t n_options,
                                      std::uint64_t update, std::uint64_t total, double *out,
                                      calm_error *error) {
  return guard(error, [&] { *out = warmup_cosine(std::span(options, n_options), update, total); });
}

}  // namespace calm
