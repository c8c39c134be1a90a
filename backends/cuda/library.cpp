#include "cuda/library.hpp"

#include <dlfcn.h>

#include <calm/cpp/error.hpp>

#include <cerrno>
#include <cstring>

namespace calm::cuda {

void *open_library(const std::vector<std::string> &names, std::string *why) {
  for (const std::string &name : names) {
    errno = 0;
    void *const handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle != nullptr) {
      return handle;
    }
    const bool no_memory = errno == ENOMEM;
    const char *const words = ::dlerror();
    if (no_memory ||
        (words != nullptr && std::strstr(words, ::strerrordesc_np(ENOMEM)) != nullptr)) {
      throw Error(CALM_OUT_OF_MEMORY, "cuda: memory ran out while a library was opened");
    }
    if (why->empty()) {
      *why = words == nullptr ? name + " cannot be opened" : words;
    }
  }
  return nullptr;
}

std::vector<std::string> in_usual_places(const std::vector<std::string> &names) {
  std::vector<std::string> all = names;
  for (const char *const folder : {"/usr/local/cuda/lib64/", "/opt/cuda/lib64/"}) {
    for (const std::string &name : names) {
      all.push_back(folder + name);
    }
  }
  return all;
}

void *find_symbol(void *handle, const char *symbol, const std::string &library) {
  void *const address = ::dlsym(handle, symbol);
  if (address == nullptr) {
    throw Error(CALM_UNAVAILABLE,
                "expected " + std::string(symbol) + " in " + library + ", found none");
  }
  return address;
}

}  // namespace calm::cuda
