#pragma once

#include <calm/model.h>

#include <cstdint>
#include <span>

namespace calm::mamba {

/// A resolved model configuration (spec E.11) with the letters of spec E.
struct Config {
  std::int64_t d = 0;        // d_model
  std::int64_t layers = 0;   // n_layers
  std::int64_t inner = 0;    // E = d_model * mamba_expand
  std::int64_t state = 0;    // N = mamba_d_state
  std::int64_t window = 0;   // K = mamba_d_conv
  std::int64_t dt_rank = 0;  // R = mamba_dt_rank, or ceil(d / 16)
  std::int64_t hidden = 0;   // F = d_model * ffn_expand
  double epsilon = 0;
  double initializer_range = 0;
  bool peer_dt_init = false;
};

/// Schema of the model section: every key with its range, so that a CWGT header can hold the model.
calm_table config_schema();

/// nano, micro, mini, small (spec E.10).
calm_table presets();

/// Reads a resolved list. Throws INTERNAL when a key is missing.
Config read_config(std::span<const calm_value> values);

/// Parameters of the blocks and the last norm, embedding excluded (spec E.7).
std::int64_t parameter_count(const Config &config);

/// What the ranges cannot say. Throws INVALID_ARGUMENT "key: expected X, found Y".
void check_config(std::span<const calm_value> values);

}  // namespace calm::mamba
