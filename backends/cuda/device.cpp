#include "cuda/device.hpp"

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <cuda_runtime.h>

#include <array>

#include "cuda/blas.hpp"
#include "cuda/error.hpp"

namespace calm::cuda {
namespace {

constexpr std::size_t kMaxDevices = 64;
constexpr int kOldestMajor = 8;  // the first architecture that machine code or PTX is built for

}  // namespace

std::uint32_t count_devices(std::string *reason) {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    *reason = std::string("no CUDA device: ") + cudaGetErrorString(code);
    return 0;
  }
  if (count == 0) {
    *reason = "no CUDA device: the driver lists none";
    return 0;
  }
  for (int i = 0; i < count; ++i) {
    int major = 0;
    if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, i) != cudaSuccess ||
        major < kOldestMajor) {
      *reason = "CUDA device " + std::to_string(i) + ": expected compute capability 8.0 or newer";
      return 0;
    }
  }
  if (const std::string missing = blas_missing(); !missing.empty()) {
    *reason = missing;
    return 0;
  }
  return static_cast<std::uint32_t>(count) < kMaxDevices ? static_cast<std::uint32_t>(count)
                                                         : kMaxDevices;
}

calm_device describe_device(std::uint32_t index) {
  // Names are asked to live as long as the plugin.
  static std::array<std::array<char, 256>, kMaxDevices> names;
  std::string reason;
  const std::uint32_t count = count_devices(&reason);
  if (index >= count) {
    throw Error(CALM_NOT_FOUND, "expected a device below " + std::to_string(count) + ", found " +
                                    std::to_string(index));
  }
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, static_cast<int>(index)), "describing the device");
  const std::string name = properties.name;
  name.copy(names[index].data(), names[index].size() - 1);
  calm_device device{};
  device.name = str(std::string_view(names[index].data()));
  device.memory = properties.totalGlobalMem;
  device.align = kBufferAlign;
  device.dtypes = literal("f32");
  return device;
}

std::uint32_t score_of(calm_workload workload) {
  switch (workload) {
    case CALM_WORKLOAD_TRAIN:
    case CALM_WORKLOAD_BATCH:
      return 90;
    case CALM_WORKLOAD_DECODE:
      return 5;  // a few small sequences wait for launches: processors are faster
    default:
      return 0;
  }
}

}  // namespace calm::cuda
