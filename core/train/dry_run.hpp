#pragma once

#include <cstdint>

#include "core/train/train.hpp"

namespace calm::train {

/// What a run would cost, found by compiling the program of one batch and running it.
struct DryRun {
  std::uint64_t params = 0;
  std::uint64_t sequences = 0, dropped = 0;
  std::uint64_t steps = 0;         ///< updates of the whole run, max_steps included
  std::uint64_t device_bytes = 0;  ///< weights, gradients, moments, workspace of that batch
  double step_seconds = 0;
  double tokens_per_s = 0;  ///< live rows
  double seconds = 0;       ///< of the whole run, max_seconds included
};

/// Writes nothing. Fails as train() does before its first step.
DryRun dry_run(run::Runtime &runtime, run::Session &session, const TrainConfig &config);

}  // namespace calm::train
