#include "core/train/evaluate.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <calm/cpp/error.hpp>

#include "core/train/stages.hpp"

namespace calm::train {

namespace {

constexpr std::size_t kEvalBatch = 16;

run::Values defaults(const calm_trainer &trainer) {
  std::vector<OwnedValue> required;  // neither matters where nothing is scheduled
  for (const char *key : {"epochs", "batch_size"}) {
    required.push_back({key, CALM_VALUE_I64, 1, 0, {}});
  }
  required.push_back({"learning_rate", CALM_VALUE_F64, 0, 1e-3, {}});
  return run::Values::resolve(trainer.options, required, "training");
}

}  // namespace

Evaluation evaluate(run::Runtime &runtime, run::Session &session, run::LoadedModel &loaded,
                    const data::Dataset &dataset) {
  const calm_trainer &trainer = runtime.plugins().trainer("next_token");
  const run::Values options = defaults(trainer);
  Stages stages(session, *loaded.model, {&trainer, &options}, {});
  stages.upload(*loaded.weights);
  Evaluation result;
  result.sequences = dataset.size();
  double loss_sum = 0;
  std::uint64_t byte_targets = 0;
  std::vector<std::uint32_t> all(dataset.size());
  std::iota(all.begin(), all.end(), 0U);
  for (std::size_t begin = 0; begin < all.size(); begin += kEvalBatch) {
    const std::size_t count = std::min(kEvalBatch, all.size() - begin);
    const data::Batch batch = data::pack(dataset, std::span(all).subspan(begin, count), kEvalBatch,
                                         loaded.model->l_max());
    result.tokens += static_cast<std::uint64_t>(batch.counted);
    byte_targets +=
        static_cast<std::uint64_t>(std::count_if(batch.targets.begin(), batch.targets.end(),
                                                 [](std::int32_t t) { return t >= 0 && t < 256; }));
    if (batch.counted > 0) {
      loss_sum += stages.eval(batch);
    }
    if (runtime.cancelled()) {
      throw Error(CALM_CANCELLED, "stopped while evaluating");
    }
  }
  if (!std::isfinite(loss_sum)) {
    throw Error(CALM_DIVERGED, session.who() + ": the loss is not finite");
  }
  if (result.tokens > 0) {
    result.loss = loss_sum / static_cast<double>(result.tokens);
  }
  if (byte_targets > 0) {
    result.bits_per_byte = loss_sum / std::log(2.0) / static_cast<double>(byte_targets);
  }
  return result;
}

ForwardResult forward(run::Runtime &runtime, run::Session &session, run::LoadedModel &loaded,
                      const data::Dataset &dataset, const ForwardOptions &options) {
  const calm_trainer &trainer = runtime.plugins().trainer("next_token");
  const run::Values settings = defaults(trainer);
  const graph::OptimizerOptions optimizer;
  Stages stages(session, *loaded.model, {&trainer, &settings}, optimizer);
  stages.upload(*loaded.weights);

  std::vector<std::uint32_t> all(dataset.size());
  std::iota(all.begin(), all.end(), 0U);
  const auto sequences = static_cast<std::int64_t>(std::max<std::size_t>(all.size(), 1));
  const std::int64_t l_max = loaded.model->l_max();
  const data::Batch loss_batch = data::pack(dataset, all, sequences, l_max);
  const Stages::Forward loss = stages.forward(loss_batch, options.gradients);

  ForwardResult result;
  result.loss = loss_batch.counted > 0
                    ? static_cast<float>(loss.loss_sum / static_cast<double>(loss_batch.counted))
                    : 0.0F;
  if (options.gradients) {
    result.gradients.emplace_back(loaded.model->layout());
    result.gradients[0].read_from(stages.grads(), loaded.model->real());
  }
  // Logits are of every position, the last one included, which the loss never sees.
  const data::Batch inputs = data::pack_inputs(dataset, all, sequences, l_max);
  const Stages::Forward all_rows = stages.forward(inputs, false);
  result.logits.assign(all_rows.logits.begin(),
                       all_rows.logits.begin() + inputs.rows * run::LanguageModel::kVocab);
  result.offsets = inputs.offsets;
  result.offsets.resize(all.size() + 1);

  if (options.steps > 0) {
    for (std::uint64_t t = 1; t <= options.steps; ++t) {
      Stages::MicroBatch micro;
      micro.lr = options.lr;
      micro.t = t;
      stages.train(loss_batch, micro);
      if (stages.read_metrics().back().refused > 0) {
        throw Error(CALM_DIVERGED,
                    "the gradients of step " + std::to_string(t) + " are not finite");
      }
    }
    result.after.emplace_back(loaded.model->layout());
    stages.download(result.after[0]);
  }
  return result;
}

}  // namespace calm::train
