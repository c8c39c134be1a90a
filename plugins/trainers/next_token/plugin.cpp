#include <calm/ops/cross_entropy.h>
#include <calm/trainer.h>
#include <calm/cpp/builder.hpp>
#include <calm/cpp/plugin.hpp>
#include <calm/cpp/schedule.hpp>
#include <calm/cpp/value.hpp>

#include <cfloat>

namespace {

using calm::literal;
using calm::required;
using calm::spec_bool;
using calm::spec_f64;
using calm::spec_i64;

constexpr double kMaxCount = 2147483647;

// Keys and defaults of spec I.1. The core reads what its loop needs by name.
constexpr calm_value_spec kOptions[] = {
    required(spec_i64("epochs", 0, 1, kMaxCount, "passes over the training set")),
    required(spec_i64("batch_size", 0, 1, 65535, "sequences a micro-batch")),
    required(spec_f64("learning_rate", 0, DBL_MIN, DBL_MAX, "peak of the schedule")),
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
};

calm_status build(const calm_builder *builder, const calm_trainer_io *io,
                  calm_value_id *out_loss_sum, calm_error *error) {
  return calm::guard(error, [&] {
    if (io->logits == CALM_NONE) {
      throw calm::Error(CALM_INVALID_ARGUMENT,
                        "objective next_token: expected a model with logits, found none");
    }
    *out_loss_sum =
        calm::Builder(*builder).op(CALM_OP_CROSS_ENTROPY, {{io->logits}, {io->targets}}).id;
  });
}

constexpr calm_trainer make_trainer() {
  calm_trainer trainer{};
  trainer.size = sizeof trainer;
  trainer.doc = literal("cross-entropy of the next token after the answer mark");
  trainer.options = {kOptions, std::size(kOptions), sizeof kOptions[0]};
  trainer.build = build;
  trainer.learning_rate = calm::warmup_cosine_rate;
  return trainer;
}

constexpr calm_trainer kTrainer = make_trainer();
constexpr calm_provided kProvides[] = {{CALM_KIND_TRAINER, 1, literal("next_token"), &kTrainer}};
constexpr calm_plugin kPlugin =
    calm::describe_plugin(literal(CALM_PLUGIN_ID), literal(CALM_PLUGIN_VERSION), literal("calm"),
                          literal("Apache-2.0"), literal("next-token prediction"), kProvides);

}  // namespace

CALM_EXPORT const calm_plugin *calm_plugin_query(uint32_t abi_min, uint32_t abi_max,
                                                 calm_error *error) {
  return calm::answer_query(kPlugin, abi_min, abi_max, error);
}
