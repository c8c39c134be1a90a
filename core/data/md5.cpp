#include "core/data/md5.hpp"

#include <calm/cpp/error.hpp>

#include "core/base/crypto.hpp"

namespace calm::data {

void Md5::Release::operator()(void *digest) const { crypto().free(static_cast<EVP_MD *>(digest)); }

Md5::Md5() : digest_(crypto().fetch(nullptr, "MD5", nullptr)) {
  if (!digest_) throw Error(CALM_UNSUPPORTED, "libcrypto: expected the MD5 digest, found none");
}

std::array<std::uint8_t, 16> Md5::operator()(std::string_view bytes) const {
  std::array<std::uint8_t, 16> sum;
  const auto *digest = static_cast<const EVP_MD *>(digest_.get());
  if (crypto().digest(bytes.data(), bytes.size(), sum.data(), nullptr, digest, nullptr) != 1) {
    throw Error(CALM_OUT_OF_MEMORY, "libcrypto: expected an MD5 sum, found an error");
  }
  return sum;
}

}  // namespace calm::data
