#include "bench/common.hpp"

#include <calm/random.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include <calm/cpp/error.hpp>

#include "bench/dictionary_lengths.hpp"
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

run::RuntimeOptions runtime_options() {
  run::RuntimeOptions options;
  if (const char *given = std::getenv("CALM_THREADS")) {
    constexpr unsigned long kMost = 4096;
    char *end = nullptr;
    const unsigned long threads = std::strtoul(given, &end, 10);
    if (end == given || *end != '\0' || threads > kMost) {
      throw Error(CALM_INVALID_ARGUMENT,
                  std::string("CALM_THREADS: expected 0 to 4096, found ") + given);
    }
    options.threads = static_cast<std::uint32_t>(threads);
  }
  return options;
}

// Length of a sequence of the dictionary data, from two uniform words.
std::size_t dictionary_length(std::uint32_t rank, std::uint32_t within) {
  constexpr std::uint32_t kWidth = 8;
  const std::uint64_t total =
      std::accumulate(kDictionaryLengths.begin(), kDictionaryLengths.end(), std::uint64_t{0});
  std::uint64_t left = rank * total >> 32;
  std::size_t bin = 0;
  for (; left >= kDictionaryLengths[bin]; ++bin) {
    left -= kDictionaryLengths[bin];
  }
  return std::min<std::size_t>(bin * kWidth + within % kWidth, 768);
}

// Kilobytes that /proc/self/status says of `key` ("VmRSS:").
double status_kilobytes(std::string_view key) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == key) {
      double kilobytes = 0;
      status >> kilobytes;
      return kilobytes;
    }
  }
  return 0;
}

class Case : public benchmark::internal::Benchmark {
 public:
  Case(const std::string &name, std::function<void(benchmark::State &)> run)
      : Benchmark(name.c_str()), run_(std::move(run)) {}
  void Run(benchmark::State &state) override { run_(state); }

 private:
  std::function<void(benchmark::State &)> run_;
};

}  // namespace

benchmark::internal::Benchmark *add_case(const std::string &name,
                                         std::function<void(benchmark::State &)> run) {
  auto *made = new Case(name, std::move(run));
  // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDeleteLeaks): the library's list owns it
  return benchmark::internal::RegisterBenchmarkInternal(made);
}

Machine::Machine() : runtime(runtime_options()), threads(runtime.host().table()->threads) {
  const char *backend = std::getenv("CALM_BACKEND");
  const char *options = std::getenv("CALM_BACKEND_OPTIONS");
  session = runtime.open(
      backend == nullptr ? "auto" : backend, CALM_WORKLOAD_TRAIN,
      run::parse_backend_options(options == nullptr ? "" : options, "CALM_BACKEND_OPTIONS"));
}

Machine &machine() {
  static Machine instance;
  return instance;
}

run::Values preset_config(const std::string &preset) {
  const std::vector<OwnedValue> given = owned(find_preset(preset).model);
  return run::Values::resolve(machine().runtime.plugins().model("mamba").config, given, "model");
}

run::LoadedModel preset_model(const std::string &preset) {
  return run::make_model(machine().runtime, "mamba", preset_config(preset), 0);
}

run::Values preset_training(const std::string &preset) {
  const std::vector<OwnedValue> given = owned(find_preset(preset).training);
  return run::Values::resolve(machine().runtime.plugins().trainer("next_token").options, given,
                              "training");
}

data::Dataset dictionary_like(std::size_t count, std::uint32_t draw) {
  data::Dataset dataset;
  dataset.offsets.push_back(0);
  for (std::size_t i = 0; i < count; ++i) {
    const calm_philox4 block = calm_philox(2, static_cast<std::uint32_t>(i), draw, 0, 3);
    append(dataset, dictionary_length(block.word[0], block.word[1]));
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

void report(benchmark::State &state, double tokens, const Limit &limit, double seconds) {
  const double each = seconds / static_cast<double>(state.iterations());
  state.counters["tokens_per_s"] = tokens / each;
  state.counters["limit_per_s"] = tokens / limit.seconds();
  state.counters["of_limit_pct"] = 100 * limit.seconds() / each;
  state.SetLabel("binds " + limit.binds());
}

PeakMemory::PeakMemory() {
  ::malloc_trim(0);  // what earlier cases freed is not this one's to use again
  // Sets the high-water mark back to what is used now (proc(5)).
  std::ofstream("/proc/self/clear_refs") << "5";
  before_ = status_kilobytes("VmRSS:");
}

double PeakMemory::megabytes() const { return (status_kilobytes("VmHWM:") - before_) * 1024 / 1e6; }

}  // namespace calm::bench
