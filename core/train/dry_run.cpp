#include "core/train/dry_run.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/data/batch.hpp"
#include "core/train/bookkeeping.hpp"
#include "core/train/samples.hpp"
#include "core/train/stages.hpp"

namespace calm::train {

namespace {

double timed_step(Stages &stages, const data::Batch &batch, std::uint64_t t) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  Stages::MicroBatch micro;  // a learning rate of 0: all the work and no change
  micro.t = t;
  stages.train(batch, micro);
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

DryRun dry_run(run::Runtime &runtime, run::Session &session, const TrainConfig &config) {
  const std::string &start = config.resume.empty() ? config.init_cwgt : config.resume;
  const run::LoadedModel loaded =
      start.empty() ? run::make_model(runtime, config.backbone, config.model, config.seed)
                    : run::load_model(runtime, start);
  run::check_savable(runtime, *loaded.model, config.metadata);
  const std::int64_t l_max = loaded.model->l_max();
  const calm_trainer &trainer = runtime.plugins().trainer(config.objective);
  const Samples samples = read_samples(runtime, trainer, config.dataset, l_max);
  const std::vector<std::uint32_t> &usable = samples.usable;
  const auto batch_size = config.training.integer("batch_size");
  const auto accumulation = config.training.integer("gradient_accumulation_steps");
  graph::OptimizerOptions optimizer;
  optimizer.weight_decay = config.training.real("weight_decay");
  optimizer.clip_grad_norm = config.training.real("clip_grad_norm");
  Stages stages(session, *loaded.model, {&trainer, &config.training}, optimizer);
  stages.upload(*loaded.weights);

  // A shuffled batch, so its lengths are those of the file.
  std::vector<std::uint32_t> which = samples.order(/*shuffle=*/true, config.seed, /*epoch=*/1);
  which.resize(std::min(which.size(), static_cast<std::size_t>(batch_size)));
  const data::Batch batch = samples.batch(which, batch_size, l_max);
  timed_step(stages, batch, 1);  // compiles and touches the memory

  DryRun result;
  result.step_seconds = timed_step(stages, batch, 2);
  result.params = loaded.model->param_count();
  result.sequences = usable.size();
  result.dropped = samples.dataset.size() - usable.size();
  result.device_bytes = stages.device_bytes();
  result.steps =
      real_steps(samples.taken(static_cast<std::size_t>(batch_size)),
                 static_cast<std::uint64_t>(batch_size), static_cast<std::uint64_t>(accumulation),
                 static_cast<std::uint64_t>(config.training.integer("epochs")));
  if (config.max_steps) {
    result.steps = std::min(result.steps, *config.max_steps);
  }
  if (result.step_seconds > 0) {
    result.tokens_per_s = static_cast<double>(batch.rows) / result.step_seconds;
  }
  result.seconds =
      result.step_seconds * static_cast<double>(accumulation) * static_cast<double>(result.steps);
  if (config.max_seconds) {
    result.seconds = std::min(result.seconds, *config.max_seconds);
  }
  return result;
}

}  // namespace calm::train
