/* Words every other header of the ABI uses: views, tables, status codes, the error record.
 *
 * Rules for all of the ABI (sdk/decisions/0001): little-endian 64-bit hosts; no bool, long, C enum
 * or C++ type crosses the border; growable structs start with `uint32_t size` and only grow at the
 * end; strings are UTF-8 views valid for the call unless a comment says more; who allocates frees.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define CALM_EXTERN_C extern "C"
#else
#define CALM_EXTERN_C
#endif
#define CALM_EXPORT CALM_EXTERN_C __attribute__((visibility("default")))

/* A missing index: an absent optional operand, no alias, no parent. */
#define CALM_NONE 0xffffffffu

/* UTF-8 text, not terminated. `data` may be null when `len` is 0. */
typedef struct calm_str {
  const char *data;
  uint64_t len;
} calm_str;

/* `count` records of `stride` bytes. Read record i at base + i * stride: a newer peer's records may
 * be longer than yours, an older one's shorter (treat what is missing as zero). */
typedef struct calm_table {
  const void *base;
  uint32_t count;
  uint32_t stride;
} calm_table;

typedef uint32_t calm_status;

/* X(NAME, number, process exit code, sentence). The one list of codes and the one map to exits. */
#define CALM_STATUS_LIST(X)                                            \
  X(OK, 0, 0, "ok")                                                    \
  X(INVALID_ARGUMENT, 1, 2, "an argument or option is wrong")          \
  X(NOT_FOUND, 2, 2, "a named thing does not exist")                   \
  X(UNSUPPORTED, 3, 1, "the request is legal but not supported here")  \
  X(VERSION, 4, 65, "made by another version")                         \
  X(CORRUPT_DATA, 5, 65, "an input file breaks its format")            \
  X(OUT_OF_MEMORY, 6, 75, "memory ran out")                            \
  X(IO, 7, 74, "the system refused an input or output operation")      \
  X(DEVICE_LOST, 8, 75, "the device stopped answering")                \
  X(BUSY, 9, 75, "another process holds the resource")                 \
  X(CANCELLED, 10, 130, "the user or the host asked to stop")          \
  X(INTERNAL, 11, 1, "a defect of calm or of a plugin")                \
  X(UNAVAILABLE, 12, 4, "the backend asked for cannot be used here")   \
  X(DIVERGED, 13, 3, "training produced non-finite values repeatedly") \
  X(FAILED, 14, 1, "the operation failed")

#define CALM_STATUS_CONSTANT(name, number, exit_code, sentence) \
  static const calm_status CALM_##name = number;
CALM_STATUS_LIST(CALM_STATUS_CONSTANT)
#undef CALM_STATUS_CONSTANT

/* Filled by a failing function, owned by the caller, always the last parameter, may be null.
 * `message` is one terminated UTF-8 line: what was expected and what was found. */
typedef struct calm_error {
  calm_status code;
  uint32_t node; /* index of the program node concerned, or CALM_NONE */
  uint64_t detail;
  char message[496];
} calm_error;

/* Kinds of scalar an attribute, option or metadata field can hold. */
typedef uint32_t calm_value_type;
static const calm_value_type CALM_VALUE_NONE = 0;
static const calm_value_type CALM_VALUE_I64 = 1;
static const calm_value_type CALM_VALUE_F64 = 2;
static const calm_value_type CALM_VALUE_STR = 3;
static const calm_value_type CALM_VALUE_BOOL = 4; /* in `i64`, 0 or 1 */

/* A named scalar: an operator attribute, a configuration key, a metadata field. */
typedef struct calm_value {
  calm_str name;
  calm_value_type type;
  uint32_t reserved;
  int64_t i64;
  double f64;
  calm_str str;
} calm_value;

/* What a named scalar may be: schema of operator attributes and of configuration sections. */
typedef struct calm_value_spec {
  calm_str name;
  calm_value_type type;
  uint32_t required; /* 1: no default */
  int64_t i64;       /* default of I64 and BOOL */
  double f64;        /* default of F64 */
  calm_str str;      /* default of STR */
  double min, max;   /* inclusive range of numbers; min > max: unchecked */
  calm_str doc;
} calm_value_spec;
