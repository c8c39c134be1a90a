#include "core/base/crypto.hpp"

#include <dlfcn.h>
#include <openssl/crypto.h>
#include <openssl/opensslv.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <string>

#include <calm/cpp/error.hpp>

namespace calm {
namespace {

// Its major number is the one of the headers.
std::string library_name() { return "libcrypto.so." + std::to_string(OPENSSL_SHLIB_VERSION); }

[[noreturn]] void refuse() {
  const bool no_memory = errno == ENOMEM;
  const char *words = ::dlerror();
  if (no_memory || (words != nullptr && std::strstr(words, ::strerrordesc_np(ENOMEM)) != nullptr)) {
    throw std::bad_alloc();
  }
  throw Error(CALM_UNSUPPORTED, "expected " + library_name() + ", found " +
                                    (words == nullptr ? std::string("none") : words));
}

template <class Function>
void take(void *library, const char *name, Function *function) {
  *function = reinterpret_cast<Function>(::dlsym(library, name));
  if (*function == nullptr) {
    refuse();
  }
}

Crypto load() {
  errno = 0;
  // Never closed: it is in use as long as the process.
  void *library = ::dlopen(library_name().c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    refuse();
  }
  // Its default context is made once. Where memory ended meanwhile, everything else would use it
  // all the same and crash; only this tells.
  decltype(&OSSL_LIB_CTX_get0_global_default) context = nullptr;
  take(library, "OSSL_LIB_CTX_get0_global_default", &context);
  if (context() == nullptr) {
    throw std::bad_alloc();
  }
  Crypto out{};
  take(library, "EVP_MD_CTX_new", &out.new_context);
  take(library, "EVP_MD_CTX_free", &out.free_context);
  take(library, "EVP_sha256", &out.sha256);
  take(library, "EVP_DigestInit_ex", &out.init);
  take(library, "EVP_DigestUpdate", &out.update);
  take(library, "EVP_DigestFinal_ex", &out.final);
  take(library, "EVP_MD_fetch", &out.fetch);
  take(library, "EVP_MD_free", &out.free);
  take(library, "EVP_Digest", &out.digest);
  return out;
}

}  // namespace

const Crypto &crypto() {
  static const Crypto loaded = load();
  return loaded;
}

}  // namespace calm
