#include "cuda/error.hpp"

#include <calm/cpp/error.hpp>

#include <string>

namespace calm::cuda {
namespace {

/// After these every further call of the process fails as well.
bool is_sticky(cudaError_t code) {
  switch (code) {
    case cudaErrorIllegalAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorMisalignedAddress:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorDevicesUnavailable:
    case cudaErrorUnknown:
      return true;
    default:
      return false;
  }
}

}  // namespace

void check(cudaError_t code, const char *what) {
  if (code == cudaSuccess) {
    return;
  }
  static_cast<void>(cudaGetLastError());  // forgets what is not sticky
  const calm_status status = code == cudaErrorMemoryAllocation ? CALM_OUT_OF_MEMORY
                             : is_sticky(code)                 ? CALM_DEVICE_LOST
                                                               : CALM_FAILED;
  throw Error(status, std::string("cuda: ") + what + ": " + cudaGetErrorString(code));
}

void check_memory(cudaError_t code, std::uint64_t bytes) {
  if (code == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    std::size_t free_bytes = 0;
    std::size_t all = 0;
    static_cast<void>(cudaMemGetInfo(&free_bytes, &all));
    throw Error(CALM_OUT_OF_MEMORY, "expected " + std::to_string(bytes) +
                                        " bytes of device memory, found " +
                                        std::to_string(free_bytes) + " free");
  }
  check(code, "allocating memory");
}

}  // namespace calm::cuda
