#pragma once

#include <cstdint>

namespace calm::run {

/// The row count programs are compiled for: the smallest of 16 steps an octave, each a multiple of
/// 64, that holds `rows` (program rule 1). Below 1024 that is the next multiple of 64.
constexpr std::int64_t bucket_tokens(std::int64_t rows) {
  std::int64_t step = 64;
  while (step * 32 < rows) {
    step *= 2;
  }
  const std::int64_t steps = rows <= 0 ? 1 : (rows + step - 1) / step;
  return steps * step;
}

}  // namespace calm::run
