#include "cuda/driver.hpp"

#include <calm/cpp/error.hpp>

#include "cuda/library.hpp"

namespace calm::cuda {
namespace {

// 13000 is CUDA 13.0. Within a major version a driver runs what any toolkit of it made.
int major_of(int version) { return version / 1000; }
std::string text_of(int version) {
  return std::to_string(major_of(version)) + "." + std::to_string(version % 1000 / 10);
}

Driver open_driver() {
  // The second: where Windows puts it for its Linux guests.
  const std::vector<std::string> names = {"libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"};
  std::string why;
  void *const handle = open_library(names, &why);
  if (handle == nullptr) {
    throw Error(CALM_UNAVAILABLE, "no CUDA device: no driver: " + why);
  }
  Driver driver;
  const auto get = [handle, &names](auto &function, const char *symbol) {
    find(handle, function, symbol, names.front());
  };
  get(driver.init, "cuInit");
  get(driver.error_string, "cuGetErrorString");
  get(driver.version, "cuDriverGetVersion");
  get(driver.device_count, "cuDeviceGetCount");
  get(driver.device, "cuDeviceGet");
  get(driver.device_name, "cuDeviceGetName");
  get(driver.device_memory, "cuDeviceTotalMem_v2");
  get(driver.device_attribute, "cuDeviceGetAttribute");
  int version = 0;
  driver.check(driver.version(&version), "its version");
  if (major_of(version) < major_of(CUDA_VERSION)) {
    throw Error(CALM_UNAVAILABLE, "no CUDA device: the driver is too old: expected one for CUDA " +
                                      std::to_string(major_of(CUDA_VERSION)) +
                                      ".0 or newer, found one for " + text_of(version));
  }
  driver.check(driver.init(0), "starting it");
  return driver;
}

}  // namespace

void Driver::check(CUresult result, const char *what) const {
  if (result == CUDA_SUCCESS) {
    return;
  }
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    throw Error(CALM_OUT_OF_MEMORY, "cuda: memory ran out in the driver");
  }
  const char *words = nullptr;
  if (error_string(result, &words) != CUDA_SUCCESS || words == nullptr) {
    words = "unknown error";
  }
  throw Error(CALM_UNAVAILABLE, "no CUDA device: the driver cannot be used: " + std::string(what) +
                                    ": " + words + " (" + std::to_string(static_cast<int>(result)) +
                                    ")");
}

const Driver &driver() {
  static const Driver instance = open_driver();
  return instance;
}

}  // namespace calm::cuda
