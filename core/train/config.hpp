#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <calm/cpp/value.hpp>

#include "core/run/runtime.hpp"
#include "core/train/setting.hpp"
#include "core/train/train.hpp"

namespace calm::train {

/// What the user asked for. Paths are never read from a configuration file: a file that came from
/// somewhere else must not choose what is read or overwritten here.
struct ConfigRequest {
  std::string preset;              ///< of the backbone, or empty
  std::string config_file;         ///< TOML or YAML, or empty
  std::vector<Setting> defaults;   ///< instead of the schema's; preset and file win over them
  std::vector<Setting> overrides;  ///< flags; later ones win over earlier ones and over the file
  std::string dataset, val_dataset, init_cwgt;  ///< a dataset may be a file of pairs
  std::string save_dir;       ///< empty: the resumed run's own folder, else ./runs/calm
  std::string resume;         ///< checkpoint or run folder, or empty
  bool weights_only = false;  ///< of `resume`
  bool force = false;
  std::string default_domain = "shell";  ///< where neither a setting nor a file names one
  bool prefer_yaml = false;  ///< of a configuration named neither .yaml, .yml nor .toml (spec N.1)
  bool any_domain = false;   ///< a domain that no plugin knows is empty (spec N.1) and no error
};

/// "SECTION.KEY=VALUE" of --set; VALUE as in TOML, any other text is a string.
/// CALM_INVALID_ARGUMENT when there is no key.
Setting parse_setting(std::string_view text, std::string_view origin);

/// Seconds of "90", "90s", "10m", "1h30m". CALM_INVALID_ARGUMENT otherwise.
double parse_seconds(std::string_view text);

/// Defaults, preset, file and overrides on top of each other, the schema for the rest; template,
/// stop conditions and sampler by spec N.1 (as fixed there). Keys at the top: backbone, objective,
/// domain, template, stop_conditions, seed, max_steps, max_time, val_every, save_every, export; a
/// section [sampler] replaces the domain's defaults key by key. CALM_INVALID_ARGUMENT with the
/// origin and the nearest name for unknown keys, presets and domains; CALM_IO, CALM_CORRUPT_DATA
/// for files. A resumed run takes from its checkpoint what neither preset nor file say, and refuses
/// what would make it another run.
TrainConfig resolve_config(run::Runtime &runtime, const ConfigRequest &request);

/// The resolved configuration as TOML. Given back as a configuration file, with the same paths, it
/// resolves to the same configuration.
std::string config_toml(const TrainConfig &config);

}  // namespace calm::train
