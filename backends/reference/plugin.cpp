// The reference backend: what every operator means, on the processor of the host.
#include <calm/backend.h>
#include <calm/plugin.h>

#include <calm/cpp/plugin.hpp>

#include <string>
#include <utility>

#include "device.hpp"
#include "executable.hpp"
#include "program.hpp"
#include "session.hpp"
#include "validate.hpp"

namespace calm::reference {
namespace {

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

calm_status devices(std::uint32_t *out_count, calm_error *) {
  *out_count = kDevices;
  return CALM_OK;
}

calm_status device(std::uint32_t index, calm_device *out, calm_error *error) {
  *out = {};
  if (index >= kDevices) {
    return fail(error, CALM_NOT_FOUND, "expected device 0, found " + std::to_string(index));
  }
  *out = describe_device();
  return CALM_OK;
}

calm_status open(std::uint32_t device_index, calm_table options, const calm_host *host,
                 calm_session **out, calm_error *error) {
  *out = nullptr;
  return answer(error, [&] { *out = open_session(device_index, options, host); });
}

void close(calm_session *session) { delete session; }

calm_status supports(calm_session *, const calm_program *program, calm_verdict *out_verdicts,
                     calm_error *error) {
  return answer(error, [&] { judge_nodes(program, out_verdicts); });
}

calm_status alloc(calm_session *session, std::uint64_t bytes, calm_buffer **out,
                  calm_error *error) {
  *out = nullptr;
  return answer(error, [&] { *out = alloc_buffer(*session, bytes); });
}

void free(calm_session *, calm_buffer *buffer) { delete buffer; }

calm_status write(calm_session *session, calm_buffer *dst, std::uint64_t offset, const void *src,
                  std::uint64_t bytes, calm_error *error) {
  return answer(error, [&] { write_buffer(*session, dst, offset, src, bytes); });
}

calm_status read(calm_session *session, const calm_buffer *src, std::uint64_t offset, void *dst,
                 std::uint64_t bytes, calm_error *error) {
  return answer(error, [&] { read_buffer(*session, src, offset, dst, bytes); });
}

calm_status copy(calm_session *session, calm_buffer *dst, std::uint64_t dst_offset,
                 const calm_buffer *src, std::uint64_t src_offset, std::uint64_t bytes,
                 calm_error *error) {
  return answer(error, [&] { copy_buffer(*session, dst, dst_offset, src, src_offset, bytes); });
}

calm_status compile_program(calm_session *session, const calm_program *program, calm_table options,
                            calm_executable **out, calm_error *error) {
  *out = nullptr;
  return answer(error, [&] { *out = compile(*session, program, options); });
}

calm_status info(calm_session *, const calm_executable *executable, calm_executable_info *out,
                 calm_error *) {
  *out = {};
  out->size = sizeof *out;
  // The scratch memory is the session's, shared by its executables, and counted in each.
  out->private_bytes = executable->constants.bytes() + executable->scratch_bytes;
  out->dump = str(executable->dump);
  return CALM_OK;
}

void release(calm_session *, calm_executable *executable) { delete executable; }

calm_status bind_program(calm_session *session, calm_executable *executable,
                         calm_buffer *const *buffers, std::uint32_t count, calm_binding **out,
                         calm_error *error) {
  *out = nullptr;
  return answer(error, [&] { *out = bind(*session, *executable, buffers, count); });
}

void unbind(calm_session *, calm_binding *binding) { delete binding; }

calm_status run_program(calm_session *session, calm_binding *binding, const void *step_values,
                        std::uint64_t bytes, std::uint64_t *out_fence, calm_error *error) {
  *out_fence = 0;
  return answer(error, [&] { *out_fence = run(*session, *binding, step_values, bytes); });
}

calm_status wait(calm_session *session, std::uint64_t fence, calm_error *error) {
  if (fence > session->fence) {
    return fail(error, CALM_INVALID_ARGUMENT,
                "expected a fence up to " + std::to_string(session->fence) + ", found " +
                    std::to_string(fence));
  }
  return CALM_OK;  // a run has ended when `run` returns
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
    {CALM_KIND_BACKEND, 1, literal("reference"), &kBackend},
};

constexpr calm_plugin kPlugin = describe_plugin(
    literal(CALM_PLUGIN_ID), literal(CALM_PLUGIN_VERSION), literal("calm"), literal("Apache-2.0"),
    literal("plain loops on the processor of the host, the measure of every backend"), kProvides);

}  // namespace
}  // namespace calm::reference

CALM_EXPORT const calm_plugin *calm_plugin_query(std::uint32_t abi_min, std::uint32_t abi_max,
                                                 calm_error *error) {
  return calm::answer_query(calm::reference::kPlugin, abi_min, abi_max, error);
}
