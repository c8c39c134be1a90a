/* An operator: its contract in code. Kernels live in backends, found by id and revision.
 *
 * Every built-in operator has a header calm/ops/<id>.h that names its operands and attributes. */
#pragma once

#include <calm/base.h>
#include <calm/builder.h>
#include <calm/tensor.h>

/* Traits (program rule 19). */
#define CALM_OP_ROWWISE 1u      /* row i of the outputs depends on row i of the inputs only */
#define CALM_OP_SEQUENCEWISE 2u /* reads offsets; a row depends on rows of its sequence only */
#define CALM_OP_REDUCES_ROWS 4u /* sums over axis 0 */
#define CALM_OP_PURE 8u         /* may be duplicated (recomputation) and removed when unused */
#define CALM_OP_KEEP_FP32 16u   /* precision class: never lowered to bf16 */

/* One use of an operator, as `infer`, `gradient`, `lower` and `cost` see it. */
typedef struct calm_call {
  uint32_t size;
  uint32_t n_in, n_out, n_attr;
  const calm_value_id *ins;   /* null in infer and cost */
  const calm_value_id *outs;  /* values of the forward node; null in infer, lower and cost */
  const calm_type *in_types;  /* rank 0 and dtype 0 for an absent operand */
  const uint8_t *present;     /* n_in flags */
  const calm_type *out_types; /* null in infer */
  const calm_value *attrs;    /* the whole schema, in its order */
  int64_t tokens, sequences, longest; /* the bucket being built */
} calm_call;

typedef struct calm_cost {
  double flops;
  double bytes; /* read + written, each operand once */
} calm_cost;

typedef struct calm_operator {
  uint32_t size;
  uint32_t traits;
  uint32_t min_in, max_in; /* operands */
  uint32_t max_out;        /* outputs; `infer` says how many a use has */
  uint32_t reserved;
  calm_table attrs; /* of calm_value_spec */
  calm_str doc;

  /* Checks the arguments and computes the output types (room for `max_out`). Every argument
   * error of the operator is found here: kernels trust. // [any] may fail */
  calm_status (*infer)(const calm_call *call, calm_type *outs, uint32_t *n_out, calm_error *error);

  /* Writes the backward nodes: given the gradients of the outputs (CALM_NONE: zero), emits nodes
   * and gives the gradient of each operand (CALM_NONE: zero or not differentiable). `wanted[i]` is
   * 0 when nobody needs operand i. Optional: absent means not differentiable. // [session] may fail
   */
  calm_status (*gradient)(const calm_builder *builder, const calm_call *call,
                          const calm_value_id *grad_outs, const uint8_t *wanted,
                          calm_value_id *grad_ins, calm_error *error);

  /* Writes the same computation with simpler operators. Optional for built-in operators, required
   * of third parties' (program rule 22). // [session] may fail */
  calm_status (*lower)(const calm_builder *builder, const calm_call *call, calm_value_id *outs,
                       calm_error *error);

  /* Arithmetic and traffic of one run. // [any] may fail */
  calm_status (*cost)(const calm_call *call, calm_cost *out, calm_error *error);
} calm_operator;
