/* The heart of the ABI: a whole computation as flat index tables.
 *
 * Nodes stand in topological order; shapes are static; records refer to each other by index only.
 * The core validates a program before any backend sees it. All memory belongs to the core and is
 * valid during the call that passes the program; a backend copies what it keeps. */
#pragma once

#include <calm/base.h>
#include <calm/tensor.h>

/* A buffer the core binds. Temporaries of all executables of a session share the workspace slot. */
typedef struct calm_slot {
  calm_str name;
  uint64_t bytes;
  uint64_t align;     /* power of two, >= 64 */
  calm_role role;     /* of the tensors inside */
  uint32_t workspace; /* 1: contents do not survive a run */
} calm_slot;

typedef struct calm_tensor {
  calm_str name;
  calm_type type;
  calm_role role;
  uint32_t slot;   /* index into slots; CALM_NONE for CONST and STEP */
  uint64_t offset; /* bytes into the slot, the constant data or the step block */
  uint64_t bytes;
  uint32_t view_of; /* tensor whose storage this one is a part of, or CALM_NONE */
  uint32_t updates; /* tensor whose storage this value overwrites, or CALM_NONE (program rule 6) */
} calm_tensor;

typedef uint32_t calm_phase;
static const calm_phase CALM_PHASE_FORWARD = 0;
static const calm_phase CALM_PHASE_BACKWARD = 1;
static const calm_phase CALM_PHASE_UPDATE = 2;

typedef struct calm_node {
  calm_str op; /* operator id */
  uint32_t revision;
  calm_phase phase;
  uint32_t first_in, n_in;   /* range of `operands` */
  uint32_t first_out, n_out; /* range of `operands` */
  uint32_t first_attr,
      n_attr;      /* range of `attrs`, every attribute of the schema present, in its order */
  calm_str origin; /* where the node came from, e.g. "blocks.0.mixer/selective_scan" */
} calm_node;

typedef struct calm_program {
  uint32_t size;
  uint32_t schema; /* 1 */
  calm_str name;
  uint64_t hash[2];      /* of everything below */
  int64_t tokens;        /* bucket: rows on a tokens axis */
  int64_t sequences;     /* bucket: rows on a sequences axis */
  int64_t longest;       /* no sequence is longer */
  calm_table slots;      /* of calm_slot */
  calm_table tensors;    /* of calm_tensor */
  calm_table nodes;      /* of calm_node */
  calm_table operands;   /* of uint32_t: tensor indices, CALM_NONE for an absent optional one */
  calm_table attrs;      /* of calm_value */
  const void *constants; /* data of CONST tensors, 64-byte aligned */
  uint64_t constant_bytes;
  uint64_t step_bytes; /* size of the step-value block */
} calm_program;
