#pragma once

#include <cstdint>
#include <optional>

#include "core/train/train.hpp"

namespace calm::train {

/// After a run ended because memory did: the most sequences (or pairs) a step whose largest batch
/// of an epoch fits in what the session's device has now, found by allocating and compiling all
/// that a step needs for one number after another; 0 where not even one fits. Nothing is run.
/// Empty where the configured number fits too: then the batch is not the reason.
std::optional<std::int64_t> fitting_batch(run::Runtime &runtime, run::Session &session,
                                          const TrainConfig &config);

}  // namespace calm::train
