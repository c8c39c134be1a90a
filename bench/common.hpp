#pragma once

#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "bench/limits.hpp"
#include "core/data/batch.hpp"
#include "core/run/model_file.hpp"
#include "core/run/runtime.hpp"

namespace calm::bench {

/// A runtime with CALM_THREADS threads (default: one a usable processor) and a session on the
/// backend named by CALM_BACKEND (default: auto), opened with CALM_BACKEND_OPTIONS ("KEY=VALUE ...").
struct Machine {
  Machine();
  run::Runtime runtime;
  unsigned threads;
  std::unique_ptr<run::Session> session;
};
Machine &machine();

/// A size of model and the batch its training is timed at.
struct Size {
  const char *preset;
  std::int64_t batch;
};
inline constexpr std::array<Size, 4> kSizes{
    {{"nano", 32}, {"micro", 16}, {"mini", 16}, {"small", 16}}};

/// Adds a case to the program.
benchmark::internal::Benchmark *add_case(const std::string &name,
                                         std::function<void(benchmark::State &)> run);

/// The configuration of a preset's model ("nano").
run::Values preset_config(const std::string &preset);
/// A fresh model of a preset.
run::LoadedModel preset_model(const std::string &preset);
/// Training settings of a preset, every other key at its default.
run::Values preset_training(const std::string &preset);

/// `count` synthetic sequences whose lengths are drawn from those of the dictionary data (mean 179
/// tokens, at most 768), the same on every machine; each `draw` another set.
data::Dataset dictionary_like(std::size_t count, std::uint32_t draw = 0);
/// `count` sequences of `length` tokens each: what padding to the longest would make of a batch.
data::Dataset uniform(std::size_t count, std::size_t length);

/// Seconds since it was made.
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Counters tokens_per_s, limit_per_s and of_limit_pct, and the part of the limit that binds as the
/// label. An iteration made `tokens` tokens on average and could not have taken less than `limit`;
/// all of them took `seconds`.
void report(benchmark::State &state, double tokens, const Limit &limit, double seconds);

/// The most memory the process used beyond what it had when this was made.
class PeakMemory {
 public:
  PeakMemory();
  double megabytes() const;

 private:
  double before_;
};

/// Adds the cases of machine.cpp, train_step.cpp, generate.cpp and operators.cpp to the program.
void add_machine_cases();
void add_train_cases();
void add_generate_cases();
void add_operator_cases();

}  // namespace calm::bench
