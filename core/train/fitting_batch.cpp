#include "core/train/fitting_batch.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/data/batch.hpp"
#include "core/run/buckets.hpp"
#include "core/run/language_model.hpp"
#include "core/run/stage.hpp"
#include "core/train/samples.hpp"

namespace calm::train {

namespace {

using graph::Slot;

graph::OptimizerOptions optimizer_of(const TrainConfig &config) {
  graph::OptimizerOptions optimizer;
  optimizer.weight_decay = config.training.real("weight_decay");
  optimizer.clip_grad_norm = config.training.real("clip_grad_norm");
  optimizer.recompute = config.training.flag("gradient_checkpointing");
  optimizer.ewc = config.ewc.has_value();
  return optimizer;
}

// Whether a step over `bucket` can be allocated and compiled.
bool fits(run::Session &session, const run::LanguageModel &model, const run::Objective &objective,
          const graph::OptimizerOptions &optimizer, graph::Bucket bucket) {
  const auto step = [&] { return model.train(bucket, objective, optimizer, /*update=*/true); };
  try {
    const std::unique_ptr<graph::Program> program = session.plan(step());
    std::array<run::Buffer, graph::kSlots> own;
    run::SlotBuffers shared{};
    for (std::uint32_t i = 0; i < graph::kSlots; ++i) {
      const auto slot = static_cast<Slot>(i);
      if (slot != Slot::kWorkspace && program->slot_bytes(slot) > 0) {
        own[i] = run::Buffer(session, program->slot_bytes(slot));
        shared[i] = &own[i];
      }
    }
    const run::Stage stage(session, step(), shared);
    return true;
  } catch (const Error &e) {
    if (e.status() == CALM_OUT_OF_MEMORY) {
      return false;
    }
    throw;
  }
}

}  // namespace

std::optional<std::int64_t> fitting_batch(run::Runtime &runtime, run::Session &session,
                                          const TrainConfig &config) {
  const std::string &start = config.resume.empty() ? config.init_cwgt : config.resume;
  const run::LoadedModel loaded =
      start.empty() ? run::make_model(runtime, config.backbone, config.model, config.seed)
                    : run::load_model(runtime, start);
  const run::LanguageModel &model = *loaded.model;
  const calm_trainer &trainer = runtime.plugins().trainer(config.objective);
  const run::Objective objective{&trainer, &config.training};
  const Samples samples = read_samples(runtime, trainer, config.dataset, model.l_max());
  const graph::OptimizerOptions optimizer = optimizer_of(config);
  const std::vector<std::uint32_t> order =
      samples.order(config.training.flag("shuffle"), config.seed, /*epoch=*/1);
  const auto tried = [&](std::int64_t batch_size) {
    const auto largest = samples.largest_batch(order, batch_size, model.l_max());
    const std::int64_t tokens =
        run::bucket_tokens(samples.batch(largest, batch_size, model.l_max()).rows);
    return fits(
        session, model, objective, optimizer,
        {tokens, samples.pairs() ? 2 * batch_size : batch_size, std::min(tokens, model.l_max())});
  };
  // A batch has no more samples than there are.
  std::int64_t above = std::min(config.training.integer("batch_size"),
                                static_cast<std::int64_t>(samples.usable.size()));
  if (tried(above)) {
    return std::nullopt;
  }
  std::int64_t below = 0;  // fits, or is nothing
  while (above - below > 1) {
    const std::int64_t middle = below + (above - below) / 2;
    (tried(middle) ? below : above) = middle;
  }
  return below;
}

}  // namespace calm::train
