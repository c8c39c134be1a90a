// NVIDIA's runtime as far as the engine calls it: two devices, whose memory is the host's.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "tests/cuda/emulator/block.hpp"
#include "tests/cuda/emulator/capture.hpp"
#include "tests/cuda/emulator/launch.hpp"

namespace calm_emulated {
namespace {

constexpr int kDevices = 2;
constexpr std::size_t kMemory = std::size_t{1} << 34;
constexpr std::size_t kAlign = 256;
constexpr int kPoison = 0xff;
constexpr unsigned kMostThreads = 1024;        // of a block
constexpr unsigned kMostDepth = 64;            // of its third axis
constexpr unsigned kMostBlocks = 65535;        // of a grid's second and third axis
constexpr unsigned kMostColumns = 0x7fffffff;  // of its first
constexpr std::size_t kMostShared = 227 << 10;

thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;
std::mutex blocks_lock;
std::map<void *, std::size_t> blocks;
std::size_t used = 0;

cudaError_t allocate(void **memory, std::size_t bytes) {
  *memory = nullptr;
  if (bytes == 0) {
    return cudaSuccess;
  }
  const std::lock_guard lock(blocks_lock);
  // Not a byte more than was asked for: AddressSanitizer sees what goes beyond.
  if (bytes > kMemory - used || ::posix_memalign(memory, kAlign, bytes) != 0) {
    *memory = nullptr;
    return leave_error(cudaErrorMemoryAllocation);
  }
  std::memset(*memory, kPoison, bytes);
  blocks[*memory] = bytes;
  used += bytes;
  return cudaSuccess;
}

cudaError_t release(void *memory) {
  if (memory == nullptr) {
    return cudaSuccess;
  }
  finish_all();  // as a device does
  const std::lock_guard lock(blocks_lock);
  const auto block = blocks.find(memory);
  if (block == blocks.end()) {
    return leave_error(cudaErrorInvalidValue);
  }
  used -= block->second;
  blocks.erase(block);
  std::free(memory);
  return cudaSuccess;
}

bool possible(const Grid &o) {
  const bool some = o.grid.x > 0 && o.grid.y > 0 && o.grid.z > 0 && o.block.x > 0 &&
                    o.block.y > 0 && o.block.z > 0;
  return some && o.grid.x <= kMostColumns && o.grid.y <= kMostBlocks && o.grid.z <= kMostBlocks &&
         o.block.z <= kMostDepth &&
         std::uint64_t{o.block.x} * o.block.y * o.block.z <= kMostThreads &&
         o.dynamic_shared <= kMostShared;
}

}  // namespace

cudaError_t leave_error(cudaError_t error) {
  last_error = error == cudaSuccess ? last_error : error;
  return error;
}

void submit_grid(const Grid &grid, cudaStream_t stream, std::function<void()> body) {
  if (!possible(grid)) {
    leave_error(cudaErrorInvalidConfiguration);
    return;
  }
  submit(stream, [grid, body = std::move(body)] { run(grid, body); });
}

}  // namespace calm_emulated

using calm_emulated::leave_error;

cudaError_t cudaGetLastError() { return std::exchange(calm_emulated::last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return calm_emulated::last_error; }
const char *cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }
const char *cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorStreamCaptureUnjoined:
      return "capturing stream has unjoined work";
    case cudaErrorStreamCaptureIsolation:
      return "dependency created on uncaptured work in another stream";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case cudaErrorCapturedEvent:
      return "operation not permitted on an event last recorded in a capturing stream";
    default:
      return "an error of the emulated runtime";
  }
}

cudaError_t cudaGetDeviceCount(int *count) {
  *count = calm_emulated::kDevices;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int *device) {
  *device = calm_emulated::current_device;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= calm_emulated::kDevices) {
    return leave_error(cudaErrorInvalidDevice);
  }
  calm_emulated::current_device = device;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
  *properties = {};
  constexpr std::string_view kName = "emulated card";
  kName.copy(properties->name, kName.size());
  properties->totalGlobalMem = calm_emulated::kMemory;
  properties->uuid.bytes[0] = static_cast<char>(1 + device);
  properties->major = 9;
  properties->multiProcessorCount = 132;
  properties->warpSize = calm_emulated::kLanes;
  properties->maxThreadsPerBlock = calm_emulated::kMostThreads;
  properties->sharedMemPerBlock = 48 << 10;
  properties->sharedMemPerBlockOptin = calm_emulated::kMostShared;
  return leave_error(device >= 0 && device < calm_emulated::kDevices ? cudaSuccess
                                                                     : cudaErrorInvalidDevice);
}
cudaError_t cudaDriverGetVersion(int *version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp properties{};
  cudaGetDeviceProperties(&properties, device);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = properties.multiProcessorCount;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = properties.major;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = properties.minor;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(properties.sharedMemPerBlockOptin);
      return cudaSuccess;
    default:
      return leave_error(cudaErrorNotSupported);
  }
}
cudaError_t cudaMemGetInfo(std::size_t *free_bytes, std::size_t *all) {
  const std::lock_guard lock(calm_emulated::blocks_lock);
  *all = calm_emulated::kMemory;
  *free_bytes = calm_emulated::kMemory - calm_emulated::used;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void *, cudaFuncAttribute attribute, int value) {
  const bool fits = attribute != cudaFuncAttributeMaxDynamicSharedMemorySize ||
                    (value >= 0 && static_cast<std::size_t>(value) <= calm_emulated::kMostShared);
  return leave_error(fits ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaMalloc(void **memory, std::size_t bytes) {
  return calm_emulated::allocate(memory, bytes);
}
cudaError_t cudaMallocAsync(void **memory, std::size_t bytes, cudaStream_t) {
  return cudaMalloc(memory, bytes);
}
cudaError_t cudaMallocHost(void **memory, std::size_t bytes) { return cudaMalloc(memory, bytes); }
cudaError_t cudaHostAlloc(void **memory, std::size_t bytes, unsigned) {
  return cudaMalloc(memory, bytes);
}
cudaError_t cudaFree(void *memory) { return calm_emulated::release(memory); }
cudaError_t cudaFreeAsync(void *memory, cudaStream_t) { return cudaFree(memory); }
cudaError_t cudaFreeHost(void *memory) { return cudaFree(memory); }

cudaError_t cudaMemcpyAsync(void *to, const void *from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  calm_emulated::submit(stream, [=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void *to, const void *from, std::size_t bytes, cudaMemcpyKind kind) {
  return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}
cudaError_t cudaMemcpy2DAsync(void *to, std::size_t to_pitch, const void *from,
                              std::size_t from_pitch, std::size_t width, std::size_t height,
                              cudaMemcpyKind, cudaStream_t stream) {
  calm_emulated::submit(stream, [=] {
    for (std::size_t row = 0; row < height; ++row) {
      std::memcpy(static_cast<std::byte *>(to) + row * to_pitch,
                  static_cast<const std::byte *>(from) + row * from_pitch, width);
    }
  });
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *memory, int value, std::size_t bytes, cudaStream_t stream) {
  calm_emulated::submit(stream, [=] { std::memset(memory, value, bytes); });
  return cudaSuccess;
}
cudaError_t cudaMemset2DAsync(void *memory, std::size_t pitch, int value, std::size_t width,
                              std::size_t height, cudaStream_t stream) {
  calm_emulated::submit(stream, [=] {
    for (std::size_t row = 0; row < height; ++row) {
      std::memset(static_cast<std::byte *>(memory) + row * pitch, value, width);
    }
  });
  return cudaSuccess;
}
cudaError_t cudaMemset(void *memory, int value, std::size_t bytes) {
  return cudaMemsetAsync(memory, value, bytes, nullptr);
}
