// What the driver answers, as statuses of the ABI.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace calm::cuda {

/// Throws unless `code` is success: OUT_OF_MEMORY, DEVICE_LOST where nothing on the device works
/// any more (a sticky error, a lost card), FAILED otherwise. `what` is the call in words.
void check(cudaError_t code, const char *what);

/// The same for a call that asked for `bytes` of device memory.
void check_memory(cudaError_t code, std::uint64_t bytes);

}  // namespace calm::cuda
