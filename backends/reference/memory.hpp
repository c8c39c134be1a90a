// Memory of the host as backends that work in it hold it.
#pragma once

#include <calm/host.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace calm::reference {

/// Memory of the host: zeroed, given back at the end of life. Large blocks are pages of their own,
/// which cost nothing until they are touched.
class HostMemory {
 public:
  HostMemory() = default;
  /// Throws OUT_OF_MEMORY. `align` is a power of two.
  HostMemory(const calm_host &host, std::uint64_t bytes, std::uint64_t align);
  HostMemory(HostMemory &&other) noexcept
      : host_(other.host_),
        data_(std::exchange(other.data_, nullptr)),
        bytes_(other.bytes_),
        mapped_(other.mapped_) {}
  HostMemory &operator=(HostMemory &&other) noexcept {
    std::swap(host_, other.host_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(mapped_, other.mapped_);
    return *this;
  }
  ~HostMemory();

  std::byte *data() const { return data_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  const calm_host *host_ = nullptr;
  std::byte *data_ = nullptr;
  std::uint64_t bytes_ = 0;
  bool mapped_ = false;
};

}  // namespace calm::reference
