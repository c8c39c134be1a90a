/* A model plugin: writes one part of a network into a graph. The core wires the parts:
 * embedding -> backbone -> head. */
#pragma once

#include <calm/base.h>
#include <calm/builder.h>

typedef uint32_t calm_model_role;
static const calm_model_role CALM_MODEL_BACKBONE = 1; /* rows, offsets, state -> rows */
static const calm_model_role CALM_MODEL_HEAD = 2;     /* rows -> logits or latents */
static const calm_model_role CALM_MODEL_CODEC = 3;    /* tokens <-> latents */

/* What the core hands to `build`. Rows are packed: [tokens, width]. */
typedef struct calm_model_io {
  uint32_t size;
  uint32_t n_config;
  const calm_value *config; /* resolved: every key of the schema, in its order */
  calm_value_id rows;       /* [tokens, d_model] */
  calm_value_id offsets;    /* i32 [sequences + 1] */
} calm_model_io;

/* A named set of configuration values ("nano"); keys of the model and of training alike. */
typedef struct calm_preset {
  calm_str name;
  calm_table model;    /* of calm_value */
  calm_table training; /* of calm_value */
} calm_preset;

typedef struct calm_model {
  uint32_t size;
  calm_model_role role;
  calm_str doc;
  calm_table config;  /* of calm_value_spec */
  calm_table presets; /* of calm_preset */

  /* Checks a resolved configuration beyond the schema's ranges. // [any] may fail */
  calm_status (*check)(const calm_value *config, uint32_t n_config, calm_error *error);

  /* Declares the parameters, writes the nodes, gives the output rows. // [session] may fail */
  calm_status (*build)(const calm_builder *builder, const calm_model_io *io,
                       calm_value_id *out_rows, calm_error *error);
} calm_model;
