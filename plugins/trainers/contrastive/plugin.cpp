#include <calm/ops/pool.h>
#include <calm/trainer.h>
#include <calm/cpp/builder.hpp>
#include <calm/cpp/plugin.hpp>
#include <calm/cpp/schedule.hpp>
#include <calm/cpp/value.hpp>

#include <cfloat>
#include <cstdint>
#include <span>

#include "infonce.hpp"

namespace {

using calm::find;
using calm::literal;
using calm::spec_bool;
using calm::spec_f64;
using calm::spec_i64;
using calm::spec_str;

constexpr double kMaxCount = 2147483647;

// Keys of spec I.1 with the defaults of I.15, and two of its own. The core reads what its loop
// needs by name.
constexpr calm_value_spec kOptions[] = {
    spec_i64("epochs", 5, 1, kMaxCount, "passes over the training set"),
    spec_i64("batch_size", 16, 2, 65535, "pairs a micro-batch"),
    spec_f64("learning_rate", 1e-4, DBL_MIN, DBL_MAX, "peak of the schedule"),
    spec_i64("gradient_accumulation_steps", 1, 1, 65535, "micro-batches an update"),
    spec_f64("clip_grad_norm", 1.0, 0, DBL_MAX, "largest global norm of the gradient"),
    spec_i64("patience", 5, 0, kMaxCount, "epochs without improvement before stopping"),
    spec_i64("warmup_steps", 0, 0, kMaxCount, "updates of linear warm-up; 0 = constant rate"),
    spec_f64("min_lr", 1e-6, 0, DBL_MAX, "rate at the end of the schedule"),
    spec_i64("log_interval_steps", 50, 0, kMaxCount, "updates between log rows; 0 = none"),
    spec_f64("weight_decay", 0.01, 0, DBL_MAX, "decoupled decay of AdamW"),
    spec_bool("shuffle", true, "permute the training set every epoch"),
    spec_bool("amp", true, "mixed precision where the backend has it"),
    spec_bool("gradient_checkpointing", false,
              "activations again in the backward pass: less memory"),
    // Below that the cosines' rounding decides, above it nothing does.
    spec_f64("temperature", 0.07, 1e-6, 1e6, "divides the cosines"),
    spec_str("pool_mode", "mean", "one vector a sequence: mean or last"),
};

std::int64_t pool_mode(std::string_view name) {
  if (name == "mean") {
    return CALM_POOL_MEAN;
  }
  if (name == "last") {
    return CALM_POOL_LAST;
  }
  throw calm::Error(CALM_INVALID_ARGUMENT,
                    "training.pool_mode: expected mean or last, found " + std::string(name));
}

calm_status build(const calm_builder *builder, const calm_trainer_io *io,
                  calm_value_id *out_loss_sum, calm_error *error) {
  return calm::guard(error, [&] {
    const std::span options(io->options, io->n_options);
    const calm::Builder b(*builder);
    const calm::Value vectors = calm::contrastive::embed(
        b, {io->rows}, {io->offsets}, pool_mode(calm::view(find(options, "pool_mode").str)));
    *out_loss_sum = calm::contrastive::infonce_sum(b, vectors, find(options, "temperature").f64).id;
  });
}

constexpr calm_trainer make_trainer() {
  calm_trainer trainer{};
  trainer.size = sizeof trainer;
  trainer.samples = CALM_SAMPLES_PAIRS;
  trainer.doc = literal("symmetric InfoNCE of queries and their passages");
  trainer.options = {kOptions, std::size(kOptions), sizeof kOptions[0]};
  trainer.build = build;
  trainer.learning_rate = calm::warmup_cosine_rate;
  return trainer;
}

constexpr calm_trainer kTrainer = make_trainer();
constexpr calm_provided kProvides[] = {{CALM_KIND_TRAINER, 1, literal("contrastive"), &kTrainer}};
constexpr calm_plugin kPlugin = calm::describe_plugin(
    literal(CALM_PLUGIN_ID), literal(CALM_PLUGIN_VERSION), literal("calm"), literal("Apache-2.0"),
    literal("contrastive training of embeddings"), kProvides);

}  // namespace

CALM_EXPORT const calm_plugin *calm_plugin_query(uint32_t abi_min, uint32_t abi_max,
                                                 calm_error *error) {
  return calm::answer_query(kPlugin, abi_min, abi_max, error);
}
