/* A domain: what a model is used for. Strings the host reads, importers that turn sources into
 * text, the context and the filter of interactive use. */
#pragma once

#include <calm/base.h>
#include <calm/host.h>

/* Receives one record of an importer: a UTF-8 text block as `calm dataset encode` reads it, without
 * the blank line that separates blocks. */
typedef calm_status (*calm_record_fn)(void *context, calm_str record, calm_error *error);

/* Counts an importer reports at its end, by name ("skipped: no definition"). */
typedef void (*calm_count_fn)(void *context, calm_str name, uint64_t count);

typedef struct calm_import {
  uint32_t size;
  uint32_t n_sources;
  const calm_str *sources; /* absolute paths */
  calm_table options;      /* of calm_value */
  void *context;
  calm_record_fn record;
  calm_count_fn count;
} calm_import;

/* Sampler settings a model file carries (spec B.9); 0 = not set. */
typedef struct calm_sampler_defaults {
  uint32_t size;
  uint32_t top_k;
  uint32_t max_tokens;
  uint32_t candidates;
  double temperature, top_p, min_p;
} calm_sampler_defaults;

/* Receives a field of the context, e.g. "cwd" = "/home/ann". May be called again for lists; the
 * field of a subtoken ("exit") then belongs to the item given last. */
typedef calm_status (*calm_field_fn)(void *context, calm_str field, calm_str value,
                                     calm_error *error);

typedef struct calm_domain {
  uint32_t size;
  uint32_t reserved;
  calm_str doc;
  calm_str template_spec;               /* template DSL, spec B */
  calm_str stop_conditions;             /* spec C */
  const calm_sampler_defaults *sampler; /* static storage, may be null */

  /* Reads sources (files the user named) into records. Optional. // [session] may fail */
  calm_status (*import)(const calm_import *request, const calm_host *host, calm_error *error);
  /* Collects the fields of the present situation in directory `cwd`. Optional. // [session] may
   * fail */
  calm_status (*gather_context)(calm_str cwd, void *context, calm_field_fn field,
                                const calm_host *host, calm_error *error);
  /* 1 when `candidate`, the text that would follow `typed`, may be offered. Bytes of any kind come
   * in. What does harm passes only when `typed` holds its verb already: filter("", typed +
   * candidate) is then still 0, and the host marks it. Optional: absent offers all. // [any] */
  uint32_t (*filter)(calm_str typed, calm_str candidate);
} calm_domain;
