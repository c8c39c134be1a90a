#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/data/batch.hpp"
#include "core/run/model_file.hpp"
#include "core/run/runtime.hpp"

namespace calm::bench {

/// A runtime and a session on the backend named by CALM_BACKEND (default: auto).
struct Machine {
  Machine();
  run::Runtime runtime;
  std::unique_ptr<run::Session> session;
};
Machine &machine();

/// A fresh model of a preset ("nano").
run::LoadedModel preset_model(const std::string &preset);
/// Training settings of a preset, every other key at its default.
run::Values preset_training(const std::string &preset);

/// `count` synthetic sequences whose lengths follow the dictionary data (mean about 180 tokens, at
/// most 768), the same on every machine.
data::Dataset dictionary_like(std::size_t count);
/// `count` sequences of `length` tokens each: what padding to the longest would make of a batch.
data::Dataset uniform(std::size_t count, std::size_t length);

}  // namespace calm::bench
