// The driver of the cards: what is asked of it before the engine is loaded.
#pragma once

#include <cuda.h>

#include <string>

namespace calm::cuda {

/// Its functions, each of the type its header declares.
struct Driver {
  decltype(&cuInit) init = nullptr;
  decltype(&cuGetErrorString) error_string = nullptr;
  decltype(&cuDriverGetVersion) version = nullptr;
  decltype(&cuDeviceGetCount) device_count = nullptr;
  decltype(&cuDeviceGet) device = nullptr;
  decltype(&cuDeviceGetName) device_name = nullptr;
  decltype(&cuDeviceTotalMem) device_memory = nullptr;
  decltype(&cuDeviceGetAttribute) device_attribute = nullptr;

  /// Throws what a failed call means: OUT_OF_MEMORY, else UNAVAILABLE with the driver's words.
  void check(CUresult result, const char *what) const;
};

/// Opened and begun at the first call, whose failure the next one tries again. Throws UNAVAILABLE:
/// there is no driver, it is older than the engine needs, or it finds no card.
const Driver &driver();

}  // namespace calm::cuda
