// One training step of each preset: packed batches with the lengths of dictionary data, and the
// same batch as padding to the longest sequence would make it. `tokens_per_s` counts real tokens
// only.
#include <benchmark/benchmark.h>

#include <numeric>

#include "bench/common.hpp"
#include "core/train/stages.hpp"

namespace calm::bench {
namespace {

void train_step(benchmark::State &state, const std::string &preset, bool padded) {
  run::LoadedModel loaded = preset_model(preset);
  const run::Values training = preset_training(preset);
  const calm_trainer &trainer = machine().runtime.plugins().trainer("next_token");
  const auto sequences = training.integer("batch_size");
  const data::Dataset real = dictionary_like(static_cast<std::size_t>(sequences));
  std::size_t longest = 0;
  for (std::size_t i = 0; i < real.size(); ++i) {
    longest = std::max(longest, real.sequence(i).size());
  }
  const data::Dataset &used = padded ? uniform(real.size(), longest) : real;
  std::vector<std::uint32_t> all(real.size());
  std::iota(all.begin(), all.end(), 0U);
  const data::Batch batch = data::pack(used, all, sequences, loaded.model->l_max());
  train::Stages stages(*machine().session, *loaded.model, {&trainer, &training}, {});
  stages.upload(*loaded.weights);
  train::Stages::MicroBatch micro;
  micro.lr = 1e-4;
  stages.train(batch, micro);  // compiles
  stages.read_metrics();
  for ([[maybe_unused]] auto _ : state) {
    ++micro.t;
    stages.train(batch, micro);
    stages.read_metrics();
  }
  const auto real_rows = static_cast<double>(real.tokens.size() - real.size());
  state.counters["rows"] = static_cast<double>(batch.tokens.size());
  state.counters["real_tokens"] = real_rows;
  state.counters["tokens_per_s"] = benchmark::Counter(
      real_rows * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
  state.counters["device_MB"] = static_cast<double>(stages.device_bytes()) / 1e6;
}

BENCHMARK_CAPTURE(train_step, nano_packed, "nano", false)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(train_step, nano_padded, "nano", true)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(train_step, micro_packed, "micro", false)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(train_step, mini_packed, "mini", false)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace calm::bench
