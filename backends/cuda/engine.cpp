#include "cuda/engine.hpp"

#include "cuda/cublaslt.hpp"
#include "cuda/executable.hpp"
#include "cuda/session.hpp"
#include "reference/table.hpp"

namespace calm::cuda {
namespace {

struct Engine {
  using Session = cuda::Session;
  using Buffer = cuda::Buffer;
  using Executable = cuda::Executable;
  using Binding = cuda::Binding;

  static constexpr auto open = open_session;
  static constexpr auto judge = judge_nodes;
  static constexpr auto alloc = alloc_buffer;
  static constexpr auto free = free_buffer;
  static constexpr auto write = write_buffer;
  static constexpr auto read = read_buffer;
  static constexpr auto copy = copy_buffer;
  static constexpr auto compile = cuda::compile;
  static std::uint64_t private_bytes(const Executable &executable) {
    return executable.constants.bytes() + executable.scratch_bytes;
  }
  static constexpr auto bind = cuda::bind;
  static void unbind(Session &, Binding *binding) { delete binding; }
  static constexpr auto run = cuda::run;
  static void wait(Session &session, std::uint64_t fence) { session.wait(fence); }
};

constexpr calm_backend kEngine = reference::BackendTable<Engine>::make(
    {.devices = nullptr, .device = nullptr, .score = nullptr});

}  // namespace
}  // namespace calm::cuda

CALM_EXPORT const calm_backend *calm_cuda_engine(calm_error *error) {
  const calm_status status = calm::guard(error, [] { calm::cuda::cublaslt(); });
  return status == CALM_OK ? &calm::cuda::kEngine : nullptr;
}
