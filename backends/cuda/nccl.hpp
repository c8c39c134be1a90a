// NCCL: sums over the GPUs of several ranks. Opened for them, never linked, and without its header,
// which toolkits do not bring: these few functions are the same in every version 2.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <string>

namespace calm::cuda {

/// https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/api.html
struct Nccl {
  using Comm = struct ncclComm *;
  struct Id {
    char bytes[128];
  };
  enum Result : int {  // others are our mistakes
    kSuccess = 0,
    kCudaError = 1,
    kSystemError = 2,
    kInternalError = 3,
    kRemoteError = 6,
    kInProgress = 7
  };
  static constexpr int kFloat32 = 7;
  static constexpr int kSum = 0;

  const char *(*error_string)(int result) = nullptr;
  int (*get_version)(int *version) = nullptr;
  int (*unique_id)(Id *id) = nullptr;
  int (*init_rank)(Comm *comm, int ranks, Id id, int rank) = nullptr;
  int (*all_reduce)(const void *x, void *y, std::size_t count, int dtype, int op, Comm comm,
                    cudaStream_t stream) = nullptr;
  int (*async_error)(Comm comm, int *result) = nullptr;
  int (*abort)(Comm comm) = nullptr;
  std::string version;  // "2.28.9"
};

/// Opened at the first call, whose failure the next one tries again: one that the system's linker
/// finds, else one in a usual place. Throws UNAVAILABLE naming what was looked for.
const Nccl &nccl();

}  // namespace calm::cuda
