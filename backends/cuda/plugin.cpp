// The cuda backend: a whole program as one graph on an NVIDIA GPU. This library is linked with
// nothing of NVIDIA's: it asks the driver whether there is a card, then loads the engine, whose
// functions it hands on.
#include <calm/backend.h>
#include <calm/plugin.h>

#include <dlfcn.h>

#include <calm/cpp/plugin.hpp>

#include <string>

#include "cuda/device.hpp"
#include "cuda/engine.hpp"
#include "cuda/library.hpp"
#include "reference/table.hpp"

namespace calm::cuda {
namespace {

using reference::answer;

/// Beside the folder of the plugins, where no search for plugins meets it.
std::string engine_path() {
  Dl_info self{};
  if (::dladdr(reinterpret_cast<const void *>(&engine_path), &self) == 0) {
    throw Error(CALM_UNAVAILABLE, "expected to find the path of the cuda backend, found none");
  }
  const std::string path = self.dli_fname;
  const std::size_t slash = path.rfind('/');
  return (slash == std::string::npos ? std::string() : path.substr(0, slash + 1)) +
         "../cuda_engine.so";
}

const calm_backend *load_engine() {
  const std::string path = engine_path();
  std::string why;
  void *const library = open_library({path}, &why);
  if (library == nullptr) {
    throw Error(CALM_UNAVAILABLE, "the cuda backend's engine: " + why);
  }
  OpenEngine open = nullptr;
  find(library, open, kOpenEngine, path);
  calm_error error{};
  const calm_backend *const table = open(&error);
  if (table == nullptr) {
    check(error.code == CALM_OK ? CALM_UNAVAILABLE : error.code, error);
  }
  return table;
}

/// Loaded at the first call, whose failure the next one tries again. Throws UNAVAILABLE.
const calm_backend &engine() {
  static const calm_backend *const table = load_engine();
  return *table;
}

calm_status devices(std::uint32_t *out_count, calm_error *error) {
  *out_count = 0;
  return answer(error, [&] {
    try {
      const std::uint32_t count = count_devices();
      engine();  // a card without it is of no use
      *out_count = count;
    } catch (const Error &e) {
      if (e.status() != CALM_UNAVAILABLE) {
        throw;
      }
      fail(error, e.status(), e.what());  // an answer: none, and why
    }
  });
}

calm_status device(std::uint32_t index, calm_device *out, calm_error *error) {
  *out = {};
  return answer(error, [&] { *out = describe_device(index); });
}

calm_status open(std::uint32_t index, calm_table options, const calm_host *host, calm_session **out,
                 calm_error *error) {
  *out = nullptr;
  std::uint32_t own = index;
  const calm_status status = answer(error, [&] {
    own = device_of_rank(index, host);
    engine();
  });
  return status == CALM_OK ? engine().open(own, options, host, out, error) : status;
}

/// The engine's function of that name: whoever has a handle has loaded it.
template <auto kMember, class Function>
struct Handed;
template <auto kMember, class Result, class... Args>
struct Handed<kMember, Result (*calm_backend::*)(Args...)> {
  static Result call(Args... args) { return (engine().*kMember)(args...); }
};
template <auto kMember>
constexpr auto kHanded = Handed<kMember, decltype(kMember)>::call;

constexpr calm_backend kBackend = {
    .size = sizeof(calm_backend),
    .flags = 0,
    .devices = devices,
    .device = device,
    .score = score_of,
    .open = open,
    .close = kHanded<&calm_backend::close>,
    .supports = kHanded<&calm_backend::supports>,
    .alloc = kHanded<&calm_backend::alloc>,
    .free = kHanded<&calm_backend::free>,
    .write = kHanded<&calm_backend::write>,
    .read = kHanded<&calm_backend::read>,
    .copy = kHanded<&calm_backend::copy>,
    .compile = kHanded<&calm_backend::compile>,
    .info = kHanded<&calm_backend::info>,
    .release = kHanded<&calm_backend::release>,
    .bind = kHanded<&calm_backend::bind>,
    .unbind = kHanded<&calm_backend::unbind>,
    .run = kHanded<&calm_backend::run>,
    .wait = kHanded<&calm_backend::wait>,
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
