// The onednn backend: the processor of the host at its limit.
#include <calm/backend.h>
#include <calm/plugin.h>

#include <calm/cpp/plugin.hpp>

#include <string>
#include <tuple>
#include <utility>

#include "onednn/executable.hpp"
#include "onednn/session.hpp"
#include "reference/device.hpp"
#include "reference/program.hpp"
#include "reference/session.hpp"
#include "reference/validate.hpp"

namespace calm::onednn {
namespace {

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

calm_status devices(std::uint32_t *out_count, calm_error *) {
  *out_count = reference::kDevices;
  return CALM_OK;
}

calm_status device(std::uint32_t index, calm_device *out, calm_error *error) {
  *out = {};
  if (index >= reference::kDevices) {
    return fail(error, CALM_NOT_FOUND, "expected device 0, found " + std::to_string(index));
  }
  *out = reference::describe_device();
  return CALM_OK;
}

/// Decoding a few sequences is latency, where no GPU is faster than this processor's caches.
std::uint32_t score(calm_workload workload) {
  return workload == CALM_WORKLOAD_DECODE ? 80 : reference::score_of(workload) + 40;
}

calm_status open(std::uint32_t device_index, calm_table options, const calm_host *host,
                 calm_session **out, calm_error *error) {
  *out = nullptr;
  return answer(error, [&] { *out = open_session(device_index, options, host); });
}

void close(calm_session *session) { delete &own(session); }

calm_status supports(calm_session *, const calm_program *program, calm_verdict *out_verdicts,
                     calm_error *error) {
  return answer(error, [&] { reference::judge_nodes(program, out_verdicts); });
}

calm_status alloc(calm_session *session, std::uint64_t bytes, calm_buffer **out,
                  calm_error *error) {
  *out = nullptr;
  return answer(error, [&] { *out = reference::alloc_buffer(*session, bytes); });
}

/// Packed copies of what it held go with it: another buffer may get its address.
void free(calm_session *session, calm_buffer *buffer) {
  std::erase_if(own(session).packed,
                [buffer](const auto &known) { return std::get<0>(known.first) == buffer; });
  delete buffer;
}

calm_status write(calm_session *session, calm_buffer *dst, std::uint64_t offset, const void *src,
                  std::uint64_t bytes, calm_error *error) {
  return answer(error, [&] { reference::write_buffer(*session, dst, offset, src, bytes); });
}

calm_status read(calm_session *session, const calm_buffer *src, std::uint64_t offset, void *dst,
                 std::uint64_t bytes, calm_error *error) {
  return answer(error, [&] { reference::read_buffer(*session, src, offset, dst, bytes); });
}

calm_status copy(calm_session *session, calm_buffer *dst, std::uint64_t dst_offset,
                 const calm_buffer *src, std::uint64_t src_offset, std::uint64_t bytes,
                 calm_error *error) {
  return answer(error,
                [&] { reference::copy_buffer(*session, dst, dst_offset, src, src_offset, bytes); });
}

calm_status compile_program(calm_session *session, const calm_program *program, calm_table options,
                            calm_executable **out, calm_error *error) {
  *out = nullptr;
  return answer(error, [&] { *out = compile(own(session), program, options); });
}

calm_status info(calm_session *, const calm_executable *executable, calm_executable_info *out,
                 calm_error *) {
  *out = {};
  out->size = sizeof *out;
  // The scratch memory is the session's, shared by its executables, and counted in each.
  out->private_bytes = executable->constants.bytes() + executable->arena_bytes;
  out->dump = str(executable->dump);
  return CALM_OK;
}

void release(calm_session *, calm_executable *executable) { delete executable; }

calm_status bind_program(calm_session *session, calm_executable *executable,
                         calm_buffer *const *buffers, std::uint32_t count, calm_binding **out,
                         calm_error *error) {
  *out = nullptr;
  return answer(error, [&] { *out = bind(own(session), *executable, buffers, count); });
}

void unbind_program(calm_session *session, calm_binding *binding) { unbind(own(session), binding); }

calm_status run_program(calm_session *session, calm_binding *binding, const void *step_values,
                        std::uint64_t bytes, std::uint64_t *out_fence, calm_error *error) {
  *out_fence = 0;
  return answer(error, [&] { *out_fence = run(own(session), *binding, step_values, bytes); });
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
    .score = score,
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
    .unbind = unbind_program,
    .run = run_program,
    .wait = wait,
};

constexpr calm_provided kProvides[] = {
    {CALM_KIND_BACKEND, 1, literal("onednn"), &kBackend},
};

constexpr calm_plugin kPlugin = describe_plugin(
    literal(CALM_PLUGIN_ID), literal(CALM_PLUGIN_VERSION), literal("calm"), literal("Apache-2.0"),
    literal("SIMD kernels and oneDNN on the processor of the host"), kProvides);

}  // namespace
}  // namespace calm::onednn

CALM_EXPORT const calm_plugin *calm_plugin_query(std::uint32_t abi_min, std::uint32_t abi_max,
                                                 calm_error *error) {
  return calm::answer_query(calm::onednn::kPlugin, abi_min, abi_max, error);
}
