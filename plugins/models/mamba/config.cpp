#include "config.hpp"

#include <calm/cpp/value.hpp>

#include <cstdio>
#include <string>

namespace calm::mamba {
namespace {

// Ranges are the widths of the CWGT header's fields (spec K.1).
constexpr calm_value_spec kSchema[] = {
    required(spec_i64("d_model", 0, 1, 65535, "width of the residual stream")),
    required(spec_i64("n_layers", 0, 1, 255, "number of blocks")),
    required(spec_i64("l_max", 0, 1, 65534, "longest input in tokens")),
    spec_i64("mamba_expand", 2, 1, 255, "inner width of the mixer as a multiple of d_model"),
    spec_i64("mamba_d_state", 16, 1, 255, "states a channel of the scan"),
    spec_i64("mamba_d_conv", 4, 1, 255, "taps of the causal convolution"),
    spec_i64("mamba_dt_rank", 0, 0, 255, "rank of the step-size projection; 0 = ceil(d_model/16)"),
    spec_i64("ffn_expand", 4, 1, 255, "hidden width of the feed-forward as a multiple of d_model"),
    spec_bool("tie_weights", true, "the head is the embedding; only true is supported"),
    spec_f64("dropout", 0.0, 0, 1, "only 0 is supported"),
    spec_f64("layer_norm_epsilon", 1e-5, 1e-12, 1, "added to the variance"),
    spec_f64("initializer_range", 0.02, 0, 1, "standard deviation of fresh weights"),
    spec_bool("peer_dt_init", false, "initialise dt_proj.bias by the formula of calm-mamba 0.1.3"),
};

constexpr std::int64_t kMaxDtRank = 255;
constexpr std::int64_t kMaxParameters = 0xffffffff;

std::string shortest(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", x);
  return text;
}

[[noreturn]] void refuse(const std::string &what) { throw Error(CALM_INVALID_ARGUMENT, what); }

}  // namespace

calm_table config_schema() { return table(kSchema); }

calm_table presets() {
  static const calm_value nano[] = {value("d_model", 64), value("n_layers", 3), value("l_max", 768),
                                    value("mamba_expand", 2), value("ffn_expand", 2)};
  static const calm_value micro[] = {value("d_model", 96), value("n_layers", 5),
                                     value("l_max", 768), value("mamba_expand", 2),
                                     value("ffn_expand", 3)};
  static const calm_value mini[] = {value("d_model", 128), value("n_layers", 6),
                                    value("l_max", 768), value("mamba_expand", 3),
                                    value("ffn_expand", 4)};
  static const calm_value small[] = {value("d_model", 192), value("n_layers", 8),
                                     value("l_max", 768), value("mamba_expand", 4),
                                     value("ffn_expand", 4)};
  static const calm_value nano_training[] = {
      value("epochs", 10),        value("batch_size", 32),      value("learning_rate", 1e-3),
      value("warmup_steps", 100), value("clip_grad_norm", 1.0), value("patience", 5)};
  static const calm_value micro_training[] = {
      value("epochs", 10),        value("batch_size", 16),      value("learning_rate", 5e-4),
      value("warmup_steps", 200), value("clip_grad_norm", 1.0), value("patience", 5)};
  static const calm_value mini_training[] = {
      value("epochs", 10),        value("batch_size", 16),      value("learning_rate", 3e-4),
      value("warmup_steps", 200), value("clip_grad_norm", 1.0), value("patience", 5)};
  static const calm_value small_training[] = {
      value("epochs", 10),        value("batch_size", 8),       value("learning_rate", 3e-4),
      value("warmup_steps", 200), value("clip_grad_norm", 1.0), value("patience", 5),
      value("weight_decay", 0.01)};
  static const calm_preset list[] = {
      {literal("nano"), table(nano), table(nano_training)},
      {literal("micro"), table(micro), table(micro_training)},
      {literal("mini"), table(mini), table(mini_training)},
      {literal("small"), table(small), table(small_training)},
  };
  return table(list);
}

Config read_config(std::span<const calm_value> values) {
  const auto integer = [&](std::string_view name) { return find(values, name).i64; };
  Config config;
  config.d = integer("d_model");
  config.layers = integer("n_layers");
  config.inner = config.d * integer("mamba_expand");
  config.state = integer("mamba_d_state");
  config.window = integer("mamba_d_conv");
  const std::int64_t rank = integer("mamba_dt_rank");
  config.dt_rank = rank > 0 ? rank : (config.d + 15) / 16;
  config.hidden = config.d * integer("ffn_expand");
  config.epsilon = find(values, "layer_norm_epsilon").f64;
  config.initializer_range = find(values, "initializer_range").f64;
  config.peer_dt_init = integer("peer_dt_init") != 0;
  return config;
}

std::int64_t parameter_count(const Config &c) {
  // At the ends of the ranges this is below 2^50.
  const std::int64_t block = 4 * c.d + 2 * c.d * c.inner + c.inner * c.window +
                             c.inner * (c.dt_rank + 2 * c.state) + c.dt_rank * c.inner + c.inner +
                             c.inner * c.state + c.inner + c.inner * c.d + 2 * c.d * c.hidden;
  return c.layers * block + 2 * c.d;
}

void check_config(std::span<const calm_value> values) {
  const double dropout = find(values, "dropout").f64;
  if (dropout != 0) {
    refuse("dropout: expected 0, found " + shortest(dropout));
  }
  if (find(values, "tie_weights").i64 == 0) {
    refuse("tie_weights: expected true, found false");
  }
  const Config config = read_config(values);
  if (config.dt_rank > kMaxDtRank) {
    refuse("mamba_dt_rank: expected at most " + std::to_string(kMaxDtRank) +
           ", found ceil(d_model/16) = " + std::to_string(config.dt_rank));
  }
  const std::int64_t count = parameter_count(config);
  if (count > kMaxParameters) {
    refuse("d_model, n_layers, mamba_expand, ffn_expand: expected at most " +
           std::to_string(kMaxParameters) + " parameters, found " + std::to_string(count));
  }
}

}  // namespace calm::mamba
