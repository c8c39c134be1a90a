#pragma once

#include <string>
#include <string_view>

namespace calm::cli {

/// The model of a verb that has a usual one: `given` (-m or $CALM_MODEL), else `file` in the user's
/// data folder, $XDG_DATA_HOME/calm or ~/.local/share/calm. CALM_IO naming what was looked for when
/// there is none.
std::string find_model(const std::string &given, std::string_view file);

}  // namespace calm::cli
