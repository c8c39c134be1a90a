#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/train/setting.hpp"

namespace calm::train {

/// Every setting of a configuration in YAML, in its order: a mapping whose values are scalars and
/// sections, mappings of scalars. A plain scalar is what its text looks like (1e-4 is a number,
/// yes a boolean); a quoted one is a text; an alias stands for a scalar only. Nothing is expanded
/// and nothing nests further, so the cost is that of the text. CALM_INVALID_ARGUMENT as
/// "PATH:LINE: REASON". [any]
std::vector<Setting> parse_yaml_settings(std::string_view text, const std::string &path);

}  // namespace calm::train
