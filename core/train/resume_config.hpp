#pragma once

#include <string>
#include <vector>

#include "core/run/manifest.hpp"
#include "core/train/config.hpp"

namespace calm::train {

/// What a checkpoint's run was configured with, as settings below those of the user: its training
/// section, seed, backbone and objective. Keys that only peers have are dropped.
std::vector<Setting> checkpoint_settings(const run::Manifest &manifest, const calm_trainer &trainer,
                                         const std::string &folder);

/// Refuses settings that would make the rest of the run another run than the checkpoint's
/// (promises.md): CALM_INVALID_ARGUMENT naming the key, or a warning with `force`.
void check_same_run(const TrainConfig &config, const run::Manifest &manifest, bool force);

/// The same for keys of the model that the user gave: a checkpoint's shape cannot be changed at
/// all.
void check_same_model(const std::vector<Setting> &settings, const TrainConfig &config);

}  // namespace calm::train
