/* A file format: bytes <-> a document of named fields and named tensors.
 *
 * One shape serves all: a CWGT file is header fields plus parameters under their checkpoint names,
 * a CTDS file is the tensors `tokens`, `lengths`, `cmd_pos`, a safetensors file is what it is. A
 * format never opens paths: the host hands it a stream, and publishes what it writes atomically. */
#pragma once

#include <calm/base.h>
#include <calm/host.h>
#include <calm/tensor.h>

/* What a document can hold; flags of calm_format. */
#define CALM_FORMAT_MODEL 1u   /* fields of a model and its parameters */
#define CALM_FORMAT_DATASET 2u /* tokens, lengths, cmd_pos */
#define CALM_FORMAT_TENSORS 4u /* any named tensors */

/* An input of known size. `read_at` gives exactly `bytes` bytes or fails. */
typedef struct calm_stream {
  uint32_t size;
  uint32_t reserved;
  void *self;
  uint64_t bytes;
  calm_status (*read_at)(void *self, uint64_t offset, void *dst, uint64_t bytes, calm_error *error);
} calm_stream;

/* An output, written front to back. The host publishes it only when everything succeeded. */
typedef struct calm_sink {
  uint32_t size;
  uint32_t reserved;
  void *self;
  calm_status (*write)(void *self, const void *src, uint64_t bytes, calm_error *error);
} calm_sink;

typedef struct calm_named_tensor {
  calm_str name;
  calm_type type;
  const void *data; /* null in a document being read: use `read` */
} calm_named_tensor;

typedef struct calm_document {
  uint32_t size;
  uint32_t reserved;
  calm_table fields;  /* of calm_value, in the order they should be shown */
  calm_table tensors; /* of calm_named_tensor */
} calm_document;

typedef struct calm_reader calm_reader;

typedef struct calm_format {
  uint32_t size;
  uint32_t holds;     /* CALM_FORMAT_* */
  calm_str extension; /* without the dot */
  calm_str doc;

  /* 100 when the first bytes are surely this format, 0 when surely not. // [any] */
  uint32_t (*probe)(const void *head, uint64_t bytes, uint64_t file_bytes);

  /* Checks the whole structure against the stream's size before allocating; CORRUPT_DATA or VERSION
   * with "offset N: expected X, found Y" when it does not hold. The stream must outlive the reader.
   * // [session] closed -> open, may fail */
  calm_status (*open)(const calm_stream *stream, const calm_host *host, calm_reader **out,
                      calm_error *error);
  /* Views of the reader, valid until close. // [session] open */
  const calm_document *(*document)(const calm_reader *reader);
  /* Copies tensor `index` in its document layout. // [session] open, may fail */
  calm_status (*read)(calm_reader *reader, uint32_t index, void *dst, uint64_t bytes,
                      calm_error *error);
  void (*close)(calm_reader *reader); /* // [session] open -> closed */

  /* Writes a document; refuses what `open` would not accept, before the first byte is written.
   * // [session] may fail */
  calm_status (*write)(const calm_document *document, const calm_host *host, const calm_sink *sink,
                       calm_error *error);
} calm_format;
