/* A trainer: the objective and its schedule. It writes graph and numbers, and never touches a
 * device: the core differentiates, appends the optimizer and runs the loop. */
#pragma once

#include <calm/base.h>
#include <calm/builder.h>

typedef struct calm_trainer_io {
  uint32_t size;
  uint32_t n_options;
  const calm_value *options; /* resolved: every key of the schema, in its order */
  calm_value_id logits;      /* [tokens, vocab], or CALM_NONE */
  calm_value_id rows;        /* backbone output [tokens, d_model] */
  calm_value_id targets;     /* i32 [tokens], -1 = does not count */
  calm_value_id offsets;     /* i32 [sequences + 1] */
} calm_trainer_io;

/* What a trainer trains on. Pairs: a batch of B pairs is 2 B sequences, the queries and then the
 * positive of each in the same order, of which every token is an input and none a target; the loss
 * is a sum over the pairs. */
typedef uint32_t calm_samples;
static const calm_samples CALM_SAMPLES_SEQUENCES = 0;
static const calm_samples CALM_SAMPLES_PAIRS = 1;

typedef struct calm_trainer {
  uint32_t size;
  calm_samples samples;
  calm_str doc;
  calm_table options; /* of calm_value_spec: the `training` section of a configuration */

  /* Writes the loss as a sum over counted targets (or pairs), scalar; the core seeds its gradient
   * with inv_count * grad_scale (program rule 4). // [session] may fail */
  calm_status (*build)(const calm_builder *builder, const calm_trainer_io *io,
                       calm_value_id *out_loss_sum, calm_error *error);

  /* Learning rate of the update after `update` earlier ones, of `total` planned. // [any] may fail
   */
  calm_status (*learning_rate)(const calm_value *options, uint32_t n_options, uint64_t update,
                               uint64_t total, double *out, calm_error *error);
} calm_trainer;
