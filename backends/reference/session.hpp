// A session: the host it was opened for, its buffers and the scratch memory its executables share.
#pragma once

#include <calm/backend.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernel.hpp"

namespace calm::reference {

/// Memory of the host: zeroed, given back at the end of life.
class HostMemory {
 public:
  HostMemory() = default;
  /// Throws OUT_OF_MEMORY. `align` is a power of two.
  HostMemory(const calm_host &host, std::uint64_t bytes, std::uint64_t align);
  HostMemory(HostMemory &&other) noexcept
      : host_(other.host_), data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  HostMemory &operator=(HostMemory &&other) noexcept {
    std::swap(host_, other.host_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~HostMemory();

  std::byte *data() const { return data_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  const calm_host *host_ = nullptr;
  std::byte *data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

}  // namespace calm::reference

struct calm_buffer {
  calm_session *session;
  calm::reference::HostMemory memory;
};

struct calm_session {
  calm_session(const calm_host &h, calm::reference::Level l) : host(h), level(l) {}

  const calm_host &host;
  const calm::reference::Level level;
  /// Runs follow each other, so one block serves all executables. Grown by compile only.
  calm::reference::HostMemory scratch;
  std::uint64_t fence = 0;
};

namespace calm::reference {

/// No option is known, here and in compile: throws INVALID_ARGUMENT naming the first one.
void refuse_options(calm_table options);

calm_session *open_session(std::uint32_t device, calm_table options, const calm_host *host);
calm_buffer *alloc_buffer(calm_session &session, std::uint64_t bytes);
void write_buffer(calm_session &session, calm_buffer *dst, std::uint64_t offset, const void *src,
                  std::uint64_t bytes);
void read_buffer(calm_session &session, const calm_buffer *src, std::uint64_t offset, void *dst,
                 std::uint64_t bytes);
void copy_buffer(calm_session &session, calm_buffer *dst, std::uint64_t dst_offset,
                 const calm_buffer *src, std::uint64_t src_offset, std::uint64_t bytes);

}  // namespace calm::reference
