#include "session.hpp"

#include <calm/cpp/error.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "device.hpp"

namespace calm::reference {

void refuse_options(calm_table options) {
  if (options.count != 0) {
    throw Error(CALM_INVALID_ARGUMENT, "the reference backend has no option \"" +
                                           copy(record<calm_value>(options, 0).name) + "\"");
  }
}

calm_session *open_session(std::uint32_t device, calm_table options, const calm_host *host) {
  if (device >= kDevices) {
    throw Error(CALM_NOT_FOUND, "expected device 0, found " + std::to_string(device));
  }
  if (host == nullptr || host->size < sizeof(calm_host)) {
    throw Error(CALM_INVALID_ARGUMENT, "expected a host table of this ABI, found none");
  }
  refuse_options(options);
  return new calm_session(*host, best_level());
}

calm_buffer *alloc_buffer(calm_session &session, std::uint64_t bytes) {
  auto buffer = std::make_unique<calm_buffer>();
  buffer->session = &session;
  buffer->memory = HostMemory(session.host, bytes, kBufferAlign);
  return buffer.release();
}

namespace {

std::byte *bytes_at(const calm_session &session, const calm_buffer *buffer, std::uint64_t offset,
                    std::uint64_t bytes) {
  if (buffer == nullptr || buffer->session != &session) {
    throw Error(CALM_INVALID_ARGUMENT, "expected a buffer of this session");
  }
  const std::uint64_t size = buffer->memory.bytes();
  if (offset > size || bytes > size - offset) {
    throw Error(CALM_INVALID_ARGUMENT,
                "expected a range inside a buffer of " + std::to_string(size) + " bytes, found " +
                    std::to_string(bytes) + " bytes at " + std::to_string(offset));
  }
  return buffer->memory.data() + offset;
}

void move_bytes(void *dst, const void *src, std::uint64_t bytes) {
  if (bytes != 0) {
    std::memmove(dst, src, static_cast<std::size_t>(bytes));
  }
}

}  // namespace

void write_buffer(calm_session &session, calm_buffer *dst, std::uint64_t offset, const void *src,
                  std::uint64_t bytes) {
  move_bytes(bytes_at(session, dst, offset, bytes), src, bytes);
  ++dst->version;
}

void read_buffer(calm_session &session, const calm_buffer *src, std::uint64_t offset, void *dst,
                 std::uint64_t bytes) {
  move_bytes(dst, bytes_at(session, src, offset, bytes), bytes);
}

void copy_buffer(calm_session &session, calm_buffer *dst, std::uint64_t dst_offset,
                 const calm_buffer *src, std::uint64_t src_offset, std::uint64_t bytes) {
  std::byte *const to = bytes_at(session, dst, dst_offset, bytes);
  move_bytes(to, bytes_at(session, src, src_offset, bytes), bytes);
  ++dst->version;
}

void wait(const calm_session &session, std::uint64_t fence) {
  if (fence > session.fence) {
    throw Error(CALM_INVALID_ARGUMENT, "expected a fence up to " + std::to_string(session.fence) +
                                           ", found " + std::to_string(fence));
  }
}

}  // namespace calm::reference
