// What the runtime and cuBLASLt answer, as statuses of the ABI: the one translation.
#pragma once

#include <calm/base.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace calm::cuda {

/// OUT_OF_MEMORY; DEVICE_LOST where nothing on the device works any more in this process (a sticky
/// error, a lost card); UNAVAILABLE where nothing ever did; FAILED otherwise.
calm_status status_of(cudaError_t code);

/// Throws unless `code` is success. `what` is the call in words.
void check(cudaError_t code, const char *what);

/// The same for a call that asked for `bytes` of device memory: names them and what there is.
void check_memory(cudaError_t code, std::uint64_t bytes);

/// The same for a call that asked for `bytes` of the host's memory, page-locked.
void check_pinned(cudaError_t code, std::uint64_t bytes);

/// The same for what cuBLASLt answered: a cublasStatus_t.
void check_blas(int status, const char *what);

}  // namespace calm::cuda
