#pragma once

#include <calm/cpp/builder.hpp>

#include "config.hpp"

namespace calm::mamba {

/// Writes blocks and last norm (spec E.2 to E.5) on packed rows.
///   rows real [T, d], offsets i32 [S + 1] -> real [T, d]
/// Parameters are declared in the order of spec E.1. Decode states (spec E.8), one a block:
/// "blocks.i.conv" [S, E, K], the last K inputs of the convolution, and "blocks.i.ssm" [S, E, N].
Value build_backbone(const Builder &builder, const Config &config, Value rows, Value offsets);

}  // namespace calm::mamba
