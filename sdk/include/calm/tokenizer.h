/* A tokenizer: text <-> ids. The byte tokenizer is built into the host; this kind is for the rest.
 */
#pragma once

#include <calm/base.h>
#include <calm/host.h>

typedef struct calm_tokenizer_state calm_tokenizer_state;

typedef struct calm_tokenizer {
  uint32_t size;
  uint32_t reserved;
  calm_str doc;

  /* `vocabulary` is the tokenizer's own data, copied. // [session] closed -> open, may fail */
  calm_status (*open)(const void *vocabulary, uint64_t bytes, const calm_host *host,
                      calm_tokenizer_state **out, calm_error *error);
  void (*close)(calm_tokenizer_state *state);
  uint32_t (*vocab_size)(const calm_tokenizer_state *state);
  /* Two-call pattern: writes up to `capacity` ids, *out_count is how many there are. // [any] may
   * fail */
  calm_status (*encode)(const calm_tokenizer_state *state, calm_str text, int32_t *out,
                        uint64_t capacity, uint64_t *out_count, calm_error *error);
  /* Two-call pattern: bytes of the ids. // [any] may fail */
  calm_status (*decode)(const calm_tokenizer_state *state, const int32_t *ids, uint64_t count,
                        char *out, uint64_t capacity, uint64_t *out_count, calm_error *error);
} calm_tokenizer;
