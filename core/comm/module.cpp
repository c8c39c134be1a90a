#include "core/comm/module.hpp"

#include <dlfcn.h>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

namespace calm::comm {

std::unique_ptr<Module> open_module(const Launch &launch, const std::string &prefix,
                                    const std::atomic<int> *stop) {
  if (launch.ranks < 2) {
    return nullptr;
  }
  const std::string path = prefix + "/lib/calm/mpi_comm.so";
  const auto unavailable = [&](const std::string &why) {
    return Error(CALM_UNAVAILABLE,
                 fmt::format("{} processes were launched ({}), which needs {}: {}", launch.ranks,
                             launch.variable, path, why));
  };
  void *const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char *const why = ::dlerror();
    throw unavailable(why == nullptr ? "it cannot be loaded" : why);
  }
  const auto open = reinterpret_cast<OpenModule>(::dlsym(library, kOpenModule));
  if (open == nullptr) {
    throw unavailable(fmt::format("expected the symbol {}, found none", kOpenModule));
  }
  calm_error error{};
  std::unique_ptr<Module> module(open(stop, &error));
  if (module == nullptr) {
    throw unavailable(error.message);
  }
  if (module->table().ranks != launch.ranks) {
    throw unavailable(fmt::format(
        "expected {} ranks, found {}: it was built with another MPI than the launcher's",
        launch.ranks, module->table().ranks));
  }
  return module;
}

}  // namespace calm::comm
