#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/data/batch.hpp"
#include "core/run/language_model.hpp"
#include "core/run/model_file.hpp"
#include "core/run/runtime.hpp"
#include "core/run/weights.hpp"
#include "core/train/train.hpp"

// What tests of models, training and generation share: the plugins beside the tests, small models,
// small datasets.
namespace calm::model_test {

inline run::RuntimeOptions runtime_options(std::uint32_t threads) {
  run::RuntimeOptions options;
  options.search = {};
  const char *const other = std::getenv("CALM_TEST_PLUGINS");  // tests/cuda
  options.search.plugin_path = {other == nullptr ? CALM_TEST_PLUGINS : other};
  options.threads = threads;
  return options;
}

/// One for all tests of a process: libraries stay loaded anyway.
inline run::Runtime &runtime() {
  static run::Runtime instance(runtime_options(2));
  return instance;
}

inline std::unique_ptr<run::Session> reference() {
  return runtime().open("reference", CALM_WORKLOAD_TRAIN);
}

inline OwnedValue integer(std::string_view name, std::int64_t i) {
  return {std::string(name), CALM_VALUE_I64, i, 0, {}};
}
inline OwnedValue real(std::string_view name, double f) {
  return {std::string(name), CALM_VALUE_F64, 0, f, {}};
}
inline OwnedValue flag(std::string_view name, bool b) {
  return {std::string(name), CALM_VALUE_BOOL, b ? 1 : 0, 0, {}};
}

inline OwnedValue text(std::string_view name, std::string_view s) {
  return {std::string(name), CALM_VALUE_STR, 0, 0, std::string(s)};
}

struct Shape {
  std::int64_t d_model, n_layers, l_max, expand, ffn_expand, d_state, d_conv, dt_rank;
};
inline constexpr Shape kPico = {32, 2, 64, 2, 2, 8, 4, 0};
inline constexpr Shape kNano = {64, 3, 768, 2, 2, 16, 4, 0};
/// No extent is a power of two or a multiple of another.
inline constexpr Shape kOdd = {40, 2, 50, 3, 2, 5, 3, 2};

inline run::Values model_config(const Shape &s) {
  const std::vector<OwnedValue> given = {
      integer("d_model", s.d_model),       integer("n_layers", s.n_layers),
      integer("l_max", s.l_max),           integer("mamba_expand", s.expand),
      integer("ffn_expand", s.ffn_expand), integer("mamba_d_state", s.d_state),
      integer("mamba_d_conv", s.d_conv),   integer("mamba_dt_rank", s.dt_rank)};
  return run::Values::resolve(runtime().plugins().model("mamba").config, given, "model");
}

inline std::unique_ptr<run::LanguageModel> make_model(const Shape &shape,
                                                      calm_dtype real = CALM_F32) {
  return std::make_unique<run::LanguageModel>(runtime().plugins().model("mamba"),
                                              model_config(shape), runtime().operators(), real);
}

/// `given` and defaults; epochs 1, batch 4, learning rate 1e-3 where nothing is given.
inline run::Values training(std::vector<OwnedValue> given = {}) {
  for (const OwnedValue &v :
       {integer("epochs", 1), integer("batch_size", 4), real("learning_rate", 1e-3)}) {
    bool there = false;
    for (const OwnedValue &g : given) {
      there |= g.name == v.name;
    }
    if (!there) {
      given.push_back(v);
    }
  }
  return run::Values::resolve(runtime().plugins().trainer("next_token").options, given, "training");
}

/// Options of an objective whose graph only is wanted.
inline run::Objective next_token() {
  static const run::Values options = training();
  return {&runtime().plugins().trainer("next_token"), &options};
}

inline data::Dataset make_dataset(const std::vector<std::vector<std::int32_t>> &sequences,
                                  const std::vector<std::int32_t> &cmd = {}) {
  data::Dataset dataset;
  dataset.offsets.push_back(0);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    for (const std::int32_t id : sequences[i]) {
      dataset.tokens.push_back(static_cast<std::uint16_t>(id));
    }
    dataset.offsets.push_back(dataset.tokens.size());
    dataset.cmd_pos.push_back(static_cast<std::uint16_t>(cmd.empty() ? 0 : cmd[i]));
  }
  return dataset;
}

inline std::vector<std::uint32_t> all_of(const data::Dataset &dataset) {
  std::vector<std::uint32_t> all;
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    all.push_back(static_cast<std::uint32_t>(i));
  }
  return all;
}

/// Tokens from a fixed linear congruence: the same everywhere.
inline std::vector<std::int32_t> tokens(std::size_t count, std::uint32_t seed) {
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    ids.push_back(static_cast<std::int32_t>((seed >> 8) % 256u));
  }
  return ids;
}

}  // namespace calm::model_test
