#pragma once

#include <openssl/evp.h>

namespace calm {

/// What we use of libcrypto. It is loaded when first asked for: that takes a millisecond, and a
/// short program has nothing to hash.
struct Crypto {
  decltype(&EVP_MD_CTX_new) new_context;
  decltype(&EVP_MD_CTX_free) free_context;
  decltype(&EVP_sha256) sha256;
  decltype(&EVP_DigestInit_ex) init;
  decltype(&EVP_DigestUpdate) update;
  decltype(&EVP_DigestFinal_ex) final;
  decltype(&EVP_MD_fetch) fetch;
  decltype(&EVP_MD_free) free;
  decltype(&EVP_Digest) digest;
};

/// Error(CALM_UNSUPPORTED) when the system has no libcrypto of the version this was built with.
const Crypto &crypto();

}  // namespace calm
