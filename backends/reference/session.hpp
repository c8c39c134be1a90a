// A session: the host it was opened for, its buffers and the scratch memory its executables share.
#pragma once

#include <calm/backend.h>

#include <cstdint>

#include "kernel.hpp"
#include "memory.hpp"

struct calm_buffer {
  calm_session *session;
  calm::reference::HostMemory memory;
  std::uint64_t version = 0;  ///< grows when the host writes or copies into it
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
/// Of a run, which has ended when it returned. Throws INVALID_ARGUMENT for one that never began.
void wait(const calm_session &session, std::uint64_t fence);

}  // namespace calm::reference
