// The onednn backend: the processor of the host at its limit.
#include <calm/backend.h>
#include <calm/plugin.h>

#include <calm/cpp/plugin.hpp>

#include <tuple>

#include "onednn/executable.hpp"
#include "onednn/session.hpp"
#include "reference/device.hpp"
#include "reference/program.hpp"
#include "reference/session.hpp"
#include "reference/table.hpp"

namespace calm::onednn {
namespace {

struct Onednn {
  using Session = onednn::Session;
  using Buffer = calm_buffer;
  using Executable = calm_executable;
  using Binding = calm_binding;

  static constexpr auto open = open_session;
  static constexpr auto judge = reference::judge_nodes;
  static constexpr auto alloc = reference::alloc_buffer;
  /// Packed copies of what it held go with it: another buffer may get its address.
  static void free(Session &session, Buffer *buffer) {
    std::erase_if(session.packed,
                  [buffer](const auto &known) { return std::get<0>(known.first) == buffer; });
    delete buffer;
  }
  static constexpr auto write = reference::write_buffer;
  static constexpr auto read = reference::read_buffer;
  static constexpr auto copy = reference::copy_buffer;
  static constexpr auto compile = onednn::compile;
  static std::uint64_t private_bytes(const Executable &executable) {
    return executable.constants.bytes() + executable.arena_bytes;
  }
  static constexpr auto bind = onednn::bind;
  static constexpr auto unbind = onednn::unbind;
  static constexpr auto run = onednn::run;
  static constexpr auto wait = reference::wait;
};

/// Decoding a few sequences is latency, where no GPU is faster than this processor's caches.
std::uint32_t score(calm_workload workload) {
  return workload == CALM_WORKLOAD_DECODE ? 80 : reference::score_of(workload) + 40;
}

constexpr calm_backend kBackend = reference::BackendTable<Onednn>::make(
    {.devices = reference::devices, .device = reference::device, .score = score});

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
