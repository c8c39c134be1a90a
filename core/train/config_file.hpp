#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/train/config.hpp"

// How configurations and settings are written down: TOML; config_yaml.hpp has the other form.
namespace calm::train {

/// Every setting of a configuration file, in its order: YAML where its name ends in .yaml or .yml,
/// TOML where it ends in .toml, of any other name what `prefer_yaml` says.
/// CALM_INVALID_ARGUMENT as "FILE:LINE: REASON", CALM_IO.
std::vector<Setting> read_settings(const std::string &path, bool prefer_yaml = false);

/// The same from the text of a file; `path` is used in messages. [any]
std::vector<Setting> parse_settings(std::string_view text, const std::string &path);

/// Whether the whole text is a decimal number, and which.
bool read_number(std::string_view text, double *out);

}  // namespace calm::train
