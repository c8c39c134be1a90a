// The cuda backend: a whole program as one graph on an NVIDIA GPU.
#include <calm/backend.h>
#include <calm/plugin.h>

#include <calm/cpp/plugin.hpp>

#include <string>
#include <utility>

#include "cuda/device.hpp"
#include "cuda/executable.hpp"
#include "cuda/session.hpp"
#include "reference/validate.hpp"

namespace calm::cuda {
namespace {

// The handles of the ABI are these types.
Session &own(calm_session *session) { return *reinterpret_cast<Session *>(session); }
Buffer *own(calm_buffer *buffer) { return reinterpret_cast<Buffer *>(buffer); }
const Buffer *own(const calm_buffer *buffer) { return reinterpret_cast<const Buffer *>(buffer); }
Executable *own(calm_executable *executable) { return reinterpret_cast<Executable *>(executable); }
Binding *own(calm_binding *binding) { return reinterpret_cast<Binding *>(binding); }

/// calm::guard, keeping the node that a failure concerns.
template <class Body>
calm_status answer(calm_error *error, Body &&body) noexcept {
  calm_status refused = CALM_OK;
  const calm_status status = guard(error, [&] {
    try {
      std::forward<Body>(body)();
    } catch (const reference::NodeError &e) {
      refused = fail(error, e.status(), e.what(), e.node());
    }
  });
  return status == CALM_OK ? refused : status;
}

/// The same for a call that works on the session's device.
template <class Body>
calm_status answer_in(calm_session *session, calm_error *error, Body &&body) noexcept {
  return answer(error, [&] {
    own(session).enter();
    std::forward<Body>(body)(own(session));
  });
}

calm_status devices(std::uint32_t *out_count, calm_error *error) {
  *out_count = 0;
  return answer(error, [&] {
    std::string reason;
    *out_count = count_devices(&reason);
    if (*out_count == 0) {
      fail(error, CALM_UNAVAILABLE, reason);
    }
  });
}

calm_status device(std::uint32_t index, calm_device *out, calm_error *error) {
  *out = {};
  return answer(error, [&] { *out = describe_device(index); });
}

calm_status open(std::uint32_t device_index, calm_table options, const calm_host *host,
                 calm_session **out, calm_error *error) {
  *out = nullptr;
  return answer(error, [&] {
    *out = reinterpret_cast<calm_session *>(open_session(device_index, options, host));
  });
}

void close(calm_session *session) { delete &own(session); }

calm_status supports(calm_session *, const calm_program *program, calm_verdict *out_verdicts,
                     calm_error *error) {
  return answer(error, [&] { judge_nodes(program, out_verdicts); });
}

calm_status alloc(calm_session *session, std::uint64_t bytes, calm_buffer **out,
                  calm_error *error) {
  *out = nullptr;
  return answer_in(session, error, [&](Session &s) {
    *out = reinterpret_cast<calm_buffer *>(alloc_buffer(s, bytes));
  });
}

void free(calm_session *, calm_buffer *buffer) { delete own(buffer); }

calm_status write(calm_session *session, calm_buffer *dst, std::uint64_t offset, const void *src,
                  std::uint64_t bytes, calm_error *error) {
  return answer_in(session, error,
                   [&](Session &s) { write_buffer(s, own(dst), offset, src, bytes); });
}

calm_status read(calm_session *session, const calm_buffer *src, std::uint64_t offset, void *dst,
                 std::uint64_t bytes, calm_error *error) {
  return answer_in(session, error,
                   [&](Session &s) { read_buffer(s, own(src), offset, dst, bytes); });
}

calm_status copy(calm_session *session, calm_buffer *dst, std::uint64_t dst_offset,
                 const calm_buffer *src, std::uint64_t src_offset, std::uint64_t bytes,
                 calm_error *error) {
  return answer_in(session, error, [&](Session &s) {
    copy_buffer(s, own(dst), dst_offset, own(src), src_offset, bytes);
  });
}

calm_status compile_program(calm_session *session, const calm_program *program, calm_table options,
                            calm_executable **out, calm_error *error) {
  *out = nullptr;
  return answer_in(session, error, [&](Session &s) {
    *out = reinterpret_cast<calm_executable *>(compile(s, program, options));
  });
}

calm_status info(calm_session *, const calm_executable *executable, calm_executable_info *out,
                 calm_error *) {
  const auto &own_executable = *reinterpret_cast<const Executable *>(executable);
  *out = {};
  out->size = sizeof *out;
  // The scratch memory is the session's, shared by its executables, and counted in each.
  out->private_bytes = own_executable.constants.bytes() + own_executable.scratch_bytes;
  out->dump = str(own_executable.dump);
  return CALM_OK;
}

void release(calm_session *, calm_executable *executable) { delete own(executable); }

calm_status bind_program(calm_session *session, calm_executable *executable,
                         calm_buffer *const *buffers, std::uint32_t count, calm_binding **out,
                         calm_error *error) {
  *out = nullptr;
  return answer_in(session, error, [&](Session &s) {
    *out = reinterpret_cast<calm_binding *>(bind(s, *own(executable), buffers, count));
  });
}

void unbind(calm_session *, calm_binding *binding) { delete own(binding); }

calm_status run_program(calm_session *session, calm_binding *binding, const void *step_values,
                        std::uint64_t bytes, std::uint64_t *out_fence, calm_error *error) {
  *out_fence = 0;
  return answer_in(session, error,
                   [&](Session &s) { *out_fence = run(s, *own(binding), step_values, bytes); });
}

calm_status wait(calm_session *session, std::uint64_t fence, calm_error *error) {
  return answer_in(session, error, [&](Session &s) { s.wait(fence); });
}

constexpr calm_backend kBackend = {
    .size = sizeof(calm_backend),
    .flags = 0,
    .devices = devices,
    .device = device,
    .score = score_of,
    .open = open,
    .close = close,
    .supports = supports,
    .alloc = alloc,
    .free = free,
    .write = write,
    .read = read,
    .copy = copy,
    .compile = compile_program,
    .info = info,
    .release = release,
    .bind = bind_program,
    .unbind = unbind,
    .run = run_program,
    .wait = wait,
};

constexpr calm_provided kProvides[] = {
    {CALM_KIND_BACKEND, 1, literal("cuda"), &kBackend},
};

constexpr calm_plugin kPlugin = describe_plugin(
    literal(CALM_PLUGIN_ID), literal(CALM_PLUGIN_VERSION), literal("calm"), literal("Apache-2.0"),
    literal("NVIDIA GPUs: one graph a program, kernels of its own and cuBLASLt"), kProvides);

}  // namespace
}  // namespace calm::cuda

CALM_EXPORT const calm_plugin *calm_plugin_query(std::uint32_t abi_min, std::uint32_t abi_max,
                                                 calm_error *error) {
  return calm::answer_query(calm::cuda::kPlugin, abi_min, abi_max, error);
}
