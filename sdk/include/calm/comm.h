/* Several processes that train one model: `calm.comm/1`, which calm_host.extension gives to
 * plugins. Null when the process is alone, and then every sum over the ranks is the value itself.
 *
 * Every process is a rank. The functions tagged collective are called by all ranks, with the same
 * counts and in the same order; each returns when its own part is done. One thread of a process at
 * a time calls them. After a failure no further collective call can succeed: a rank is gone
 * (CALM_DEVICE_LOST) or the library under it gave up, and the process should end. A backend with a
 * communicator of its own (NCCL) needs `broadcast` for its id, `local_rank` to choose a device, and
 * `check` while it waits. Why it is so: sdk/decisions/0006. */
#pragma once

#include <calm/base.h>
#include <calm/tensor.h>

#define CALM_COMM_ID "calm.comm/1"

typedef struct calm_comm {
  uint32_t size; /* of this table */
  uint32_t rank;
  uint32_t ranks;       /* >= 2 */
  uint32_t local_rank;  /* among the ranks of this host */
  uint32_t local_ranks; /* ranks of this host, this one included */
  uint32_t reserved;
  void *self;

  /* data[i] becomes its sum over all ranks, for `count` values of F32 or F64 in the host's memory;
   * all ranks get the same bits. // [run] collective, may fail */
  calm_status (*all_reduce)(void *self, void *data, uint64_t count, calm_dtype dtype,
                            calm_error *error);

  /* `bytes` of `data` become those of rank `root`. // [run] collective, may fail */
  calm_status (*broadcast)(void *self, void *data, uint64_t bytes, uint32_t root,
                           calm_error *error);

  /* CALM_OK while no rank is known to be gone, else CALM_DEVICE_LOST. Cheap enough to be asked
   * every few milliseconds. // [run] may fail */
  calm_status (*check)(void *self, calm_error *error);
} calm_comm;
