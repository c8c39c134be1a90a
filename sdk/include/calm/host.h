/* Services the host lends to a plugin. Passed to every `open`; valid until the matching `close`. */
#pragma once

#include <calm/base.h>

typedef uint32_t calm_log_level;
static const calm_log_level CALM_LOG_DEBUG = 0;
static const calm_log_level CALM_LOG_INFO = 1;
static const calm_log_level CALM_LOG_WARN = 2;
static const calm_log_level CALM_LOG_ERROR = 3;

typedef struct calm_host {
  uint32_t size;
  uint32_t threads; /* workers `parallel_for` may use, >= 1 */
  void *self;

  /* Writes one line to the host's log (stderr). Never called from `run`. // [any] */
  void (*log)(void *self, calm_log_level level, calm_str text);

  /* Memory of the host, `align` a power of two; null when memory ran out. // [session] may fail */
  void *(*alloc)(void *self, uint64_t bytes, uint64_t align);
  /* Returns what `alloc` gave; null is ignored. // [session] */
  void (*free)(void *self, void *memory);

  /* Calls body(context, shard) once for every shard in [0, shards), on any worker, and returns when
   * all are done. The caller fixes the shards, never the number of workers, so results do not
   * depend on it. `body` must not throw or call back into parallel_for. // [run] */
  void (*parallel_for)(void *self, uint32_t shards, void (*body)(void *context, uint32_t shard),
                       void *context);

  /* 1 once the user asked to stop. // [any] */
  uint32_t (*cancelled)(void *self);

  /* A further interface by id (`calm.comm/1`), or null. Lives as long as the host. // [session] */
  const void *(*extension)(void *self, calm_str id);
} calm_host;
