#include "core/base/digest.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/base/crypto.hpp"
#include "core/base/file.hpp"

namespace calm {

void Sha256::Release::operator()(void *context) const {
  crypto().free_context(static_cast<EVP_MD_CTX *>(context));
}

Sha256::Sha256() : context_(crypto().new_context()) {
  auto *context = static_cast<EVP_MD_CTX *>(context_.get());
  errno = 0;  // libcrypto reports an allocation that failed as an algorithm it has not
  if (context == nullptr || crypto().init(context, crypto().sha256(), nullptr) != 1) {
    if (context == nullptr || errno == ENOMEM) {
      throw std::bad_alloc();
    }
    throw Error(CALM_UNSUPPORTED, "libcrypto: expected the SHA-256 digest, found none");
  }
}

void Sha256::add(const void *bytes, std::uint64_t count) {
  if (crypto().update(static_cast<EVP_MD_CTX *>(context_.get()), bytes, count) != 1) {
    throw Error(CALM_INTERNAL, "libcrypto: expected a SHA-256 update, found an error");
  }
}

std::string Sha256::hex() {
  std::array<unsigned char, 32> sum{};
  if (crypto().final(static_cast<EVP_MD_CTX *>(context_.get()), sum.data(), nullptr) != 1) {
    throw Error(CALM_INTERNAL, "libcrypto: expected a SHA-256 sum, found an error");
  }
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : sum) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string sha256_of_file(const std::string &path) {
  const InputFile file(path);
  std::vector<unsigned char> piece(std::min(file.size(), std::uint64_t{1} << 20));
  Sha256 sum;
  for (std::uint64_t at = 0; at < file.size();) {
    const std::uint64_t count = std::min<std::uint64_t>(piece.size(), file.size() - at);
    file.read_at(at, piece.data(), count);
    sum.add(piece.data(), count);
    at += count;
  }
  return sum.hex();
}

}  // namespace calm
