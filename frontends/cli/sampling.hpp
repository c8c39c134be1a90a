#pragma once

#include <cstdint>

#include "core/generate/generator.hpp"
#include "core/run/model_file.hpp"

namespace calm::cli {

/// What the model file carries, else the defaults (spec P.4).
inline generate::Sampling model_sampling(const run::SamplerDefaults &file, std::uint64_t seed) {
  generate::Sampling s;
  s.temperature = file.temperature.value_or(s.temperature);
  s.top_k = file.top_k.value_or(s.top_k);
  s.top_p = file.top_p.value_or(s.top_p);
  s.min_p = file.min_p.value_or(s.min_p);
  s.max_tokens = file.max_tokens.value_or(s.max_tokens);
  s.seed = seed;
  return s;
}

}  // namespace calm::cli
