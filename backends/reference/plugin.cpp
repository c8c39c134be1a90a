// The reference backend: what every operator means, on the processor of the host.
#include <calm/backend.h>
#include <calm/plugin.h>

#include <calm/cpp/plugin.hpp>

#include "device.hpp"
#include "executable.hpp"
#include "program.hpp"
#include "session.hpp"
#include "table.hpp"

namespace calm::reference {
namespace {

struct Reference {
  using Session = calm_session;
  using Buffer = calm_buffer;
  using Executable = calm_executable;
  using Binding = calm_binding;

  static constexpr auto open = open_session;
  static constexpr auto judge = judge_nodes;
  static constexpr auto alloc = alloc_buffer;
  static void free(Session &, Buffer *buffer) { delete buffer; }
  static constexpr auto write = write_buffer;
  static constexpr auto read = read_buffer;
  static constexpr auto copy = copy_buffer;
  static constexpr auto compile = reference::compile;
  static std::uint64_t private_bytes(const Executable &executable) {
    return executable.constants.bytes() + executable.scratch_bytes;
  }
  static constexpr auto bind = reference::bind;
  static void unbind(Session &, Binding *binding) { delete binding; }
  static constexpr auto run = reference::run;
  static constexpr auto wait = reference::wait;
};

constexpr calm_backend kBackend =
    BackendTable<Reference>::make({.devices = devices, .device = device, .score = score_of});

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
