#pragma once

#include <cstdint>

#include <calm/cpp/builder.hpp>

namespace calm::contrastive {

/// B times the symmetric InfoNCE loss of spec H.1 over `rows` real [2B, d], each of length 1:
/// queries first, then the positive of each. Scalar.
Value infonce_sum(const Builder &builder, Value rows, double temperature);

/// Vectors of length 1, [sequences, d]: the rows of each sequence pooled by `mode` (spec G).
Value embed(const Builder &builder, Value rows, Value offsets, std::int64_t mode);

}  // namespace calm::contrastive
