#pragma once

#include <string_view>
#include <vector>

#include <calm/cpp/value.hpp>

namespace calm::run {

/// What a backend is opened with (calm_backend.open). Which options there are is its own business:
/// it refuses those it does not know, by name.
using BackendOptions = std::vector<OwnedValue>;

/// "KEY=VALUE": true and false, whole and decimal numbers are what they look like, the rest is
/// text. CALM_INVALID_ARGUMENT, naming `origin`, without a key or an equals sign.
OwnedValue parse_backend_option(std::string_view text, std::string_view origin);

/// The same for a list of them with blanks between.
BackendOptions parse_backend_options(std::string_view list, std::string_view origin);

/// Adds an option; one of the same name gives way.
void set_option(BackendOptions &options, OwnedValue value);

}  // namespace calm::run
