// Memory of the device and page-locked memory of the host, given back at the end of life.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace calm::cuda {

class DeviceMemory {
 public:
  DeviceMemory() = default;
  /// Zeroed in the order of `stream`. Throws OUT_OF_MEMORY naming the bytes.
  DeviceMemory(std::uint64_t bytes, cudaStream_t stream);
  DeviceMemory(DeviceMemory &&other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  DeviceMemory &operator=(DeviceMemory &&other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~DeviceMemory();

  std::byte *data() const { return data_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::byte *data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

/// At this address for kernels too (unified addressing; every device that we take has it).
class PinnedMemory {
 public:
  PinnedMemory() = default;
  explicit PinnedMemory(std::uint64_t bytes);
  PinnedMemory(PinnedMemory &&other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  PinnedMemory &operator=(PinnedMemory &&other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~PinnedMemory();

  std::byte *data() const { return data_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::byte *data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

}  // namespace calm::cuda
