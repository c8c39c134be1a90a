#pragma once

#include <calm/format.h>

#include <span>
#include <string_view>

#include "core/base/file.hpp"
#include "core/run/runtime.hpp"

namespace calm::data {

/// Writes tensors whose bytes the caller holds, without a copy of them, through a named format
/// plugin; the caller publishes the file. CALM_INVALID_ARGUMENT when the format cannot hold them,
/// CALM_IO; both name the path.
void write_tensors(run::Runtime &runtime, std::string_view format,
                   std::span<const calm_named_tensor> tensors, OutputFile &file);

}  // namespace calm::data
