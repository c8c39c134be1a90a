#pragma once

#include <cstdint>

namespace calm::next_token {

struct Schedule {
  double peak = 0;           // learning_rate
  double floor = 0;          // min_lr
  std::uint64_t warmup = 0;  // updates; 0: the rate is constant
  std::uint64_t total = 0;   // planned updates
};

/// Learning rate of the update after `update` earlier ones: linear warm-up from 0, then a cosine
/// down to `floor` (spec I.6.2, I.7). The plan may end before the run does (I.3): `floor` from
/// there on.
double learning_rate(const Schedule &schedule, std::uint64_t update);

}  // namespace calm::next_token
