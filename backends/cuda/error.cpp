#include "cuda/error.hpp"

#include <cublasLt.h>

#include <calm/cpp/error.hpp>

#include <string>

namespace calm::cuda {
namespace {

/// Forgets what is not sticky, so that the next call does not report it again.
void forget() { static_cast<void>(cudaGetLastError()); }

/// What there is, where the device still tells.
std::string memory_left() {
  std::size_t free_bytes = 0;
  std::size_t all = 0;
  if (cudaMemGetInfo(&free_bytes, &all) != cudaSuccess) {
    forget();
    return "an unknown number";
  }
  return std::to_string(free_bytes) + " free of " + std::to_string(all);
}

}  // namespace

calm_status status_of(cudaError_t code) {
  switch (code) {
    case cudaErrorMemoryAllocation:
      return CALM_OUT_OF_MEMORY;
    // The program did what a device stops for: its context is lost.
    case cudaErrorIllegalAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorMisalignedAddress:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    // The device or its link failed.
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorDevicesUnavailable:
    case cudaErrorExternalDevice:
    // Somebody else took it away: its context was destroyed, its server ended.
    case cudaErrorDeviceUninitialized:
    case cudaErrorContextIsDestroyed:
    case cudaErrorMpsConnectionFailed:
    case cudaErrorMpsRpcFailure:
    case cudaErrorMpsServerNotReady:
    case cudaErrorMpsClientTerminated:
    case cudaErrorUnknown:
#if CUDART_VERSION >= 12080
    case cudaErrorContained:
#endif
      return CALM_DEVICE_LOST;
    // There never was one that this build can use.
    case cudaErrorInsufficientDriver:
    case cudaErrorCallRequiresNewerDriver:
    case cudaErrorNoDevice:
    case cudaErrorInitializationError:
    case cudaErrorStubLibrary:
    case cudaErrorSystemNotReady:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorCompatNotSupportedOnDevice:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
      return CALM_UNAVAILABLE;
    default:
      return CALM_FAILED;
  }
}

void check(cudaError_t code, const char *what) {
  if (code == cudaSuccess) {
    return;
  }
  forget();
  const calm_status status = status_of(code);
  std::string text = std::string("cuda: ") + what + ": " + cudaGetErrorString(code);
  if (status == CALM_OUT_OF_MEMORY) {
    text += ", " + memory_left() + " bytes of device memory";
  }
  throw Error(status, text);
}

void check_memory(cudaError_t code, std::uint64_t bytes) {
  if (code == cudaErrorMemoryAllocation) {
    forget();
    throw Error(CALM_OUT_OF_MEMORY, "cuda: expected " + std::to_string(bytes) +
                                        " bytes of device memory, found " + memory_left());
  }
  check(code, "allocating memory");
}

void check_pinned(cudaError_t code, std::uint64_t bytes) {
  if (code == cudaErrorMemoryAllocation) {
    forget();
    throw Error(CALM_OUT_OF_MEMORY, "cuda: expected " + std::to_string(bytes) +
                                        " bytes of the host's memory that can be page-locked, "
                                        "found fewer");
  }
  check(code, "locking memory of the host");
}

void check_blas(int status, const char *what) {
  if (status == CUBLAS_STATUS_SUCCESS) {
    return;
  }
  // It does not say why a launch failed; the runtime does.
  check(cudaGetLastError(), what);
  throw Error(status == CUBLAS_STATUS_ALLOC_FAILED ? CALM_OUT_OF_MEMORY : CALM_FAILED,
              std::string("cublasLt: ") + what + ": status " + std::to_string(status));
}

}  // namespace calm::cuda
