/* A backend: compiles whole programs for a device and replays them.
 *
 * compile makes every choice and allocation; bind fixes addresses (a CUDA backend captures its
 * graph, a Vulkan backend records its commands); run replays. What changes from step to step is
 * buffer contents and the small block of step values, nothing else. */
#pragma once

#include <calm/base.h>
#include <calm/host.h>
#include <calm/program.h>

typedef struct calm_session calm_session;
typedef struct calm_buffer calm_buffer;
typedef struct calm_executable calm_executable;
typedef struct calm_binding calm_binding;

typedef struct calm_device {
  calm_str name;   /* static storage */
  uint64_t memory; /* bytes, 0 = the host's */
  uint64_t align;  /* of buffers */
  calm_str dtypes; /* space separated: "f32 f64" */
} calm_device;

/* What a session will mostly do, for `score`. */
typedef uint32_t calm_workload;
static const calm_workload CALM_WORKLOAD_TRAIN = 0;
static const calm_workload CALM_WORKLOAD_DECODE = 1; /* fewer than 16 sequences */
static const calm_workload CALM_WORKLOAD_BATCH = 2;  /* forward passes, many sequences */

/* Answer of `supports` for one node. */
typedef struct calm_verdict {
  uint32_t supported; /* 1 or 0 */
  char reason[124];   /* terminated; empty when supported */
} calm_verdict;

typedef struct calm_executable_info {
  uint32_t size;
  uint32_t nodes_fused;
  uint64_t private_bytes; /* allocated by compile beside the program's slots */
  calm_str dump;          /* text of the chosen kernels; lives as long as the executable */
  uint32_t replanned;     /* 1: the program's layout of the workspace slot is not used */
  uint32_t reserved;
  uint64_t workspace_bytes; /* that bind needs in the workspace slot instead, if replanned */
} calm_executable_info;

typedef struct calm_backend {
  uint32_t size;
  uint32_t flags;

  /* Number of usable devices, 0 with a reason in `error` (driver missing). // [scan] closed, may
   * fail */
  calm_status (*devices)(uint32_t *out_count, calm_error *error);
  calm_status (*device)(uint32_t index, calm_device *out, calm_error *error);
  /* How well this backend suits a workload, 0..100. // [scan] closed */
  uint32_t (*score)(calm_workload workload);

  /* A session on one device. `options` is a table of calm_value. // [session] closed -> open */
  calm_status (*open)(uint32_t device, calm_table options, const calm_host *host,
                      calm_session **out, calm_error *error);
  void (*close)(calm_session *session); /* // [session] open -> closed */

  /* One verdict a node. // [session] open, may fail */
  calm_status (*supports)(calm_session *session, const calm_program *program,
                          calm_verdict *out_verdicts, calm_error *error);

  /* Device memory, zeroed. // [session] open, may fail */
  calm_status (*alloc)(calm_session *session, uint64_t bytes, calm_buffer **out, calm_error *error);
  void (*free)(calm_session *session, calm_buffer *buffer);
  /* In order with runs; `write` returns when the source may be reused, `read` waits. // [session]
   */
  calm_status (*write)(calm_session *session, calm_buffer *dst, uint64_t offset, const void *src,
                       uint64_t bytes, calm_error *error);
  calm_status (*read)(calm_session *session, const calm_buffer *src, uint64_t offset, void *dst,
                      uint64_t bytes, calm_error *error);
  calm_status (*copy)(calm_session *session, calm_buffer *dst, uint64_t dst_offset,
                      const calm_buffer *src, uint64_t src_offset, uint64_t bytes,
                      calm_error *error);

  /* All choices and allocations happen here. // [session] open -> compiled, may fail */
  calm_status (*compile)(calm_session *session, const calm_program *program, calm_table options,
                         calm_executable **out, calm_error *error);
  calm_status (*info)(calm_session *session, const calm_executable *executable,
                      calm_executable_info *out, calm_error *error);
  void (*release)(calm_session *session, calm_executable *executable);

  /* One buffer a slot of the program, in slot order. // [session] compiled -> bound, may fail */
  calm_status (*bind)(calm_session *session, calm_executable *executable,
                      calm_buffer *const *buffers, uint32_t count, calm_binding **out,
                      calm_error *error);
  void (*unbind)(calm_session *session, calm_binding *binding);

  /* Starts one run; copies `step_values`; allocates nothing, logs nothing. Fences increase.
   * // [run] bound -> in flight, may fail */
  calm_status (*run)(calm_session *session, calm_binding *binding, const void *step_values,
                     uint64_t bytes, uint64_t *out_fence, calm_error *error);
  /* Returns when the run of `fence` ended; failures of that run surface here. // [session] may fail
   */
  calm_status (*wait)(calm_session *session, uint64_t fence, calm_error *error);
} calm_backend;
