#include "bench/common.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include <calm/random.h>
#include <calm/cpp/error.hpp>

#include "core/text/tokenizer.hpp"

namespace calm::bench {

namespace {

const calm_preset &find_preset(const std::string &name) {
  const calm_model &model = machine().runtime.plugins().model("mamba");
  for (std::uint32_t i = 0; i < model.presets.count; ++i) {
    const auto &preset = record<calm_preset>(model.presets, i);
    if (view(preset.name) == name) {
      return preset;
    }
  }
  throw Error(CALM_NOT_FOUND, "no preset " + name);
}

std::vector<OwnedValue> owned(const calm_table &values) {
  std::vector<OwnedValue> list;
  for (std::uint32_t i = 0; i < values.count; ++i) {
    list.push_back(own(record<calm_value>(values, i)));
  }
  return list;
}

void append(data::Dataset &dataset, std::size_t length) {
  const auto index = static_cast<std::uint32_t>(dataset.size());
  for (std::size_t i = 0; i < length; ++i) {
    const calm_philox4 block = calm_philox(1, static_cast<std::uint32_t>(i), index, 0, 3);
    dataset.tokens.push_back(static_cast<std::uint16_t>('a' + block.word[0] % 26));
  }
  dataset.offsets.push_back(dataset.tokens.size());
  dataset.cmd_pos.push_back(static_cast<std::uint16_t>(std::min<std::size_t>(10, length - 1)));
}

}  // namespace

Machine::Machine() : runtime(run::RuntimeOptions{}) {
  const char *backend = std::getenv("CALM_BACKEND");
  session = runtime.open(backend == nullptr ? "auto" : backend, CALM_WORKLOAD_TRAIN);
}

Machine &machine() {
  static Machine instance;
  return instance;
}

run::LoadedModel preset_model(const std::string &preset) {
  run::Runtime &runtime = machine().runtime;
  const std::vector<OwnedValue> given = owned(find_preset(preset).model);
  return run::make_model(
      runtime, "mamba",
      run::Values::resolve(runtime.plugins().model("mamba").config, given, "model"), 0);
}

run::Values preset_training(const std::string &preset) {
  const std::vector<OwnedValue> given = owned(find_preset(preset).training);
  return run::Values::resolve(machine().runtime.plugins().trainer("next_token").options, given,
                              "training");
}

data::Dataset dictionary_like(std::size_t count) {
  data::Dataset dataset;
  dataset.offsets.push_back(0);
  for (std::size_t i = 0; i < count; ++i) {
    // Log-normal with the mean of the dictionary data, cut at l_max.
    const calm_philox4 block = calm_philox(2, static_cast<std::uint32_t>(i), 0, 0, 3);
    const double u1 = (static_cast<double>(block.word[0] >> 8) + 1) * 0x1p-24;
    const double u2 = static_cast<double>(block.word[1] >> 8) * 0x1p-24;
    const double normal = std::sqrt(-2 * std::log(u1)) * std::cos(6.283185307179586 * u2);
    append(dataset,
           static_cast<std::size_t>(std::clamp(std::exp(4.93 + 0.75 * normal), 8.0, 768.0)));
  }
  return dataset;
}

data::Dataset uniform(std::size_t count, std::size_t length) {
  data::Dataset dataset;
  dataset.offsets.push_back(0);
  for (std::size_t i = 0; i < count; ++i) {
    append(dataset, length);
  }
  return dataset;
}

}  // namespace calm::bench
