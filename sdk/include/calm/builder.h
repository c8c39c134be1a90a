/* How operators, models and trainers write graphs. The table is given by the core, never stored.
 * Values are indices, meaningful for this builder only. // every function: [session] may fail */
#pragma once

#include <calm/base.h>
#include <calm/host.h>
#include <calm/random.h>
#include <calm/tensor.h>

typedef uint32_t calm_value_id; /* CALM_NONE: absent */

/* Fills `count` floats of a parameter; `args` are the descriptor's, `stream` is the parameter's. */
typedef void (*calm_init_fn)(const double *args, uint64_t seed, uint32_t stream, uint64_t count,
                             const calm_type *type, float *out);

typedef uint32_t calm_init_kind;
static const calm_init_kind CALM_INIT_ZEROS = 0;
static const calm_init_kind CALM_INIT_ONES = 1;
static const calm_init_kind CALM_INIT_NORMAL = 2;   /* args: mean, standard deviation */
static const calm_init_kind CALM_INIT_UNIFORM = 3;  /* args: low, high */
static const calm_init_kind CALM_INIT_CALLBACK = 4; /* `fill` */

/* A parameter as its model declares it: name and layout are those of checkpoints ([out, in]). */
typedef struct calm_param {
  uint32_t size;
  uint32_t decay;  /* 1: AdamW decays it */
  uint32_t frozen; /* 1: no gradient, no update */
  calm_init_kind init;
  calm_str name;
  calm_type type;
  double args[4];
  calm_init_fn fill;
} calm_param;

typedef struct calm_builder {
  uint32_t size;
  calm_dtype
      real; /* dtype of activations and parameters: CALM_F32, or CALM_F64 in gradient checks */
  void *self;

  /* Type of a value. */
  calm_status (*type)(void *self, calm_value_id value, calm_type *out, calm_error *error);

  /* Adds a node after checking its arguments through the operator's `infer`. Attributes not given
   * take the schema's defaults. `ins` may hold CALM_NONE for optional operands. Writes up to
   * `capacity` ids; *n_out is the number of outputs. */
  calm_status (*emit)(void *self, calm_str op, uint32_t revision, const calm_value_id *ins,
                      uint32_t n_in, const calm_value *attrs, uint32_t n_attr, calm_value_id *outs,
                      uint32_t capacity, uint32_t *n_out, calm_error *error);

  /* A tensor known when the graph is built; the data are copied. */
  calm_status (*constant)(void *self, const calm_type *type, const void *data, calm_value_id *out,
                          calm_error *error);

  /* A parameter, the same value whenever its name is asked again (weights shared by graphs). */
  calm_status (*param)(void *self, const calm_param *param, calm_value_id *out, calm_error *error);

  /* A scalar of the step-value block, by name. */
  calm_status (*step_value)(void *self, calm_str name, calm_dtype dtype, calm_value_id *out,
                            calm_error *error);

  /* Decode state of the row's sequence: [sequences, shape...]. `state_in` gives CALM_NONE where the
   * graph starts from zeros (training, prefill); `state_out` is ignored where nobody wants it. */
  calm_status (*state_in)(void *self, calm_str name, calm_dtype dtype, const int64_t *shape,
                          uint32_t rank, calm_value_id *out, calm_error *error);
  calm_status (*state_out)(void *self, calm_str name, calm_value_id value, calm_error *error);

  /* Nested names for the origin of nodes: push "blocks.0", pop. */
  void (*push_scope)(void *self, calm_str name);
  void (*pop_scope)(void *self);
} calm_builder;
