// The C table of a backend from its C++ functions. What stands between a call of the ABI and the
// function that answers it is the same for every backend: exceptions become statuses, results are
// null or 0 until there are any.
#pragma once

#include <calm/backend.h>

#include <calm/cpp/error.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "validate.hpp"

namespace calm::reference {

/// calm::guard, keeping the node that a failure concerns.
template <class Body>
calm_status answer(calm_error *error, Body &&body) noexcept {
  calm_status refused = CALM_OK;
  const calm_status status = guard(error, [&] {
    try {
      std::forward<Body>(body)();
    } catch (const NodeError &e) {
      refused = fail(error, e.status(), e.what(), e.node());
    }
  });
  return status == CALM_OK ? refused : status;
}

/// What a backend answers before a session is open.
struct Scan {
  decltype(calm_backend::devices) devices;
  decltype(calm_backend::device) device;
  decltype(calm_backend::score) score;
};

/// `Of` names the types behind the handles and has static functions that throw Error or NodeError:
///
///   Session, Buffer, Executable, Binding
///   Session *open(std::uint32_t device, calm_table options, const calm_host *host)
///   void judge(const calm_program *, calm_verdict *)
///   Buffer *alloc(Session &, std::uint64_t bytes)
///   void free(Session &, Buffer *), unbind(Session &, Binding *)              throw nothing
///   void write, read, copy (Session &, …)                               as calm_backend's
///   Executable *compile(Session &, const calm_program *, calm_table options)
///   std::uint64_t private_bytes(const Executable &)
///   Binding *bind(Session &, const Executable &, calm_buffer *const *, std::uint32_t count)
///   std::uint64_t run(Session &, Binding &, const void *step_values, std::uint64_t bytes)
///   void wait(Session &, std::uint64_t fence)
///
/// Executable::dump is a string. One that lays out the workspace itself has workspace_bytes, and the
/// number of nodes that it `fused`. Where Session has them, enter() comes before each of its calls
/// that may fail, and failed(const Error &) hears how one failed.
template <class Of>
class BackendTable {
 public:
  static constexpr calm_backend make(const Scan &scan) {
    calm_backend table{};
    table.size = sizeof table;
    table.devices = scan.devices;
    table.device = scan.device;
    table.score = scan.score;
    table.open = open;
    table.close = close;
    table.supports = supports;
    table.alloc = alloc;
    table.free = free;
    table.write = write;
    table.read = read;
    table.copy = copy;
    table.compile = compile;
    table.info = info;
    table.release = release;
    table.bind = bind;
    table.unbind = unbind;
    table.run = run;
    table.wait = wait;
    return table;
  }

 private:
  using Session = typename Of::Session;
  using Buffer = typename Of::Buffer;
  using Executable = typename Of::Executable;
  using Binding = typename Of::Binding;

  // The handles of the ABI are these types, their bases, or names for them.
  template <class To, class Handle>
  static To *own(Handle *handle) {
    if constexpr (std::is_same_v<std::remove_const_t<To>, std::remove_const_t<Handle>> ||
                  std::is_base_of_v<Handle, To>) {
      return static_cast<To *>(handle);
    } else {
      return reinterpret_cast<To *>(handle);
    }
  }
  template <class Handle, class From>
  static Handle *handle(From *object) {
    if constexpr (std::is_convertible_v<From *, Handle *>) {
      return object;
    } else {
      return reinterpret_cast<Handle *>(object);
    }
  }

  template <class Body>
  static calm_status in(calm_session *session, calm_error *error, Body &&body) noexcept {
    return answer(error, [&] {
      Session &s = *own<Session>(session);
      try {
        if constexpr (requires { s.enter(); }) {
          s.enter();
        }
        std::forward<Body>(body)(s);
      } catch (const Error &e) {
        if constexpr (requires { s.failed(e); }) {
          s.failed(e);
        }
        throw;
      }
    });
  }

  static calm_status open(std::uint32_t device, calm_table options, const calm_host *host,
                          calm_session **out, calm_error *error) {
    *out = nullptr;
    return answer(error, [&] { *out = handle<calm_session>(Of::open(device, options, host)); });
  }
  static void close(calm_session *session) { delete own<Session>(session); }

  static calm_status supports(calm_session *, const calm_program *program,
                              calm_verdict *out_verdicts, calm_error *error) {
    return answer(error, [&] { Of::judge(program, out_verdicts); });
  }

  static calm_status alloc(calm_session *session, std::uint64_t bytes, calm_buffer **out,
                           calm_error *error) {
    *out = nullptr;
    return in(session, error, [&](Session &s) { *out = handle<calm_buffer>(Of::alloc(s, bytes)); });
  }
  static void free(calm_session *session, calm_buffer *buffer) {
    Of::free(*own<Session>(session), own<Buffer>(buffer));
  }
  static calm_status write(calm_session *session, calm_buffer *dst, std::uint64_t offset,
                           const void *src, std::uint64_t bytes, calm_error *error) {
    return in(session, error,
              [&](Session &s) { Of::write(s, own<Buffer>(dst), offset, src, bytes); });
  }
  static calm_status read(calm_session *session, const calm_buffer *src, std::uint64_t offset,
                          void *dst, std::uint64_t bytes, calm_error *error) {
    return in(session, error,
              [&](Session &s) { Of::read(s, own<const Buffer>(src), offset, dst, bytes); });
  }
  static calm_status copy(calm_session *session, calm_buffer *dst, std::uint64_t dst_offset,
                          const calm_buffer *src, std::uint64_t src_offset, std::uint64_t bytes,
                          calm_error *error) {
    return in(session, error, [&](Session &s) {
      Of::copy(s, own<Buffer>(dst), dst_offset, own<const Buffer>(src), src_offset, bytes);
    });
  }

  static calm_status compile(calm_session *session, const calm_program *program, calm_table options,
                             calm_executable **out, calm_error *error) {
    *out = nullptr;
    return in(session, error, [&](Session &s) {
      *out = handle<calm_executable>(Of::compile(s, program, options));
    });
  }
  static calm_status info(calm_session *, const calm_executable *executable,
                          calm_executable_info *out, calm_error *) {
    const Executable &e = *own<const Executable>(executable);
    calm_executable_info info{};
    // A host of another version may know fewer members, or more.
    info.size = std::min(out->size, static_cast<std::uint32_t>(sizeof info));
    // Scratch memory is the session's, shared by its executables, and counted in each.
    info.private_bytes = Of::private_bytes(e);
    info.dump = str(e.dump);
    if constexpr (requires { e.workspace_bytes; }) {
      info.nodes_fused = e.fused;
      info.replanned = 1;
      info.workspace_bytes = e.workspace_bytes;
    }
    std::memcpy(out, &info, info.size);
    return CALM_OK;
  }
  static void release(calm_session *, calm_executable *executable) {
    delete own<Executable>(executable);
  }

  static calm_status bind(calm_session *session, calm_executable *executable,
                          calm_buffer *const *buffers, std::uint32_t count, calm_binding **out,
                          calm_error *error) {
    *out = nullptr;
    return in(session, error, [&](Session &s) {
      *out = handle<calm_binding>(Of::bind(s, *own<Executable>(executable), buffers, count));
    });
  }
  static void unbind(calm_session *session, calm_binding *binding) {
    Of::unbind(*own<Session>(session), own<Binding>(binding));
  }

  static calm_status run(calm_session *session, calm_binding *binding, const void *step_values,
                         std::uint64_t bytes, std::uint64_t *out_fence, calm_error *error) {
    *out_fence = 0;
    return in(session, error, [&](Session &s) {
      *out_fence = Of::run(s, *own<Binding>(binding), step_values, bytes);
    });
  }
  static calm_status wait(calm_session *session, std::uint64_t fence, calm_error *error) {
    return in(session, error, [&](Session &s) { Of::wait(s, fence); });
  }
};

}  // namespace calm::reference
