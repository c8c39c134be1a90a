// One training step of each preset: packed batches with the lengths of dictionary data, one after
// another as a run meets them (their buckets differ), and the same batches as padding to the
// longest sequence would make them. `tokens_per_s` counts real tokens only. `stream` cases read the
// metrics every 128 steps only, as a run does.
#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "bench/common.hpp"
#include "core/train/stages.hpp"

namespace calm::bench {
namespace {

constexpr std::uint32_t kBatches = 4;
constexpr std::uint32_t kReadEvery = 128;

struct Batch {
  data::Batch packed;
  double real_rows = 0;
};

Batch make_batch(std::int64_t sequences, std::int64_t l_max, std::uint32_t draw, bool padded) {
  const data::Dataset real = dictionary_like(static_cast<std::size_t>(sequences), draw);
  std::size_t longest = 0;
  for (std::size_t i = 0; i < real.size(); ++i) {
    longest = std::max(longest, real.sequence(i).size());
  }
  const data::Dataset &used = padded ? uniform(real.size(), longest) : real;
  std::vector<std::uint32_t> all(real.size());
  std::iota(all.begin(), all.end(), 0U);
  return {data::pack(used, all, sequences, l_max),
          static_cast<double>(real.tokens.size() - real.size())};
}

/// `read_every`: steps between readings of the metrics, which wait for the device.
void train_step(benchmark::State &state, const Size &size, bool padded, std::uint32_t read_every) {
  const run::LoadedModel loaded = preset_model(size.preset);
  const run::Values training = preset_training(size.preset);
  const calm_trainer &trainer = machine().runtime.plugins().trainer("next_token");
  std::vector<Batch> batches;
  for (std::uint32_t i = 0; i < kBatches; ++i) {
    batches.push_back(make_batch(size.batch, loaded.model->l_max(), i, padded));
  }
  const PeakMemory peak;
  train::Stages stages(*machine().session, *loaded.model, {&trainer, &training}, {});
  stages.upload(*loaded.weights);
  train::Stages::MicroBatch micro;
  micro.lr = 1e-4;
  for (const Batch &batch : batches) {
    stages.train(batch.packed, micro);  // compiles
    stages.read_metrics();
  }
  double rows = 0;
  double real_rows = 0;
  benchmark::IterationCount left = state.max_iterations;
  const Stopwatch watch;
  for ([[maybe_unused]] auto _ : state) {
    const Batch &batch = batches[micro.t % kBatches];
    ++micro.t;
    stages.train(batch.packed, micro);
    // Behind the last step too, for all to have ended within the time: an accelerator may be 32 of
    // them behind.
    if (--left == 0 || micro.t % read_every == 0) {
      stages.read_metrics();
    }
    rows += static_cast<double>(batch.packed.tokens.size());
    real_rows += batch.real_rows;
  }
  const double seconds = watch.seconds();
  state.counters["peak_MB"] = peak.megabytes();
  const auto steps = static_cast<double>(state.iterations());
  const double tokens = real_rows / steps;
  const Work work = work_of(loaded.model->config());
  report(state, tokens, train_limit(work, measured_rates(machine().threads), tokens), seconds);
  state.counters["rows"] = rows / steps;
  state.counters["real_tokens"] = tokens;
  state.counters["device_MB"] = static_cast<double>(stages.device_bytes()) / 1e6;
}

void add(const Size &size, const std::string &kind, bool padded, std::uint32_t read_every = 1) {
  add_case(std::string("train_step/") + size.preset + "_" + kind,
           [=](benchmark::State &state) { train_step(state, size, padded, read_every); })
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
}

}  // namespace

void add_train_cases() {
  for (const Size &size : kSizes) {
    add(size, "packed", false);
  }
  add(kSizes[0], "padded", true);
  // As a run on an accelerator goes: the host is ahead of the device.
  for (const std::int64_t batch : {16, 128}) {
    for (const Size &size : kSizes) {
      add({size.preset, batch}, "stream_" + std::to_string(batch), false, kReadEvery);
    }
  }
}

}  // namespace calm::bench
