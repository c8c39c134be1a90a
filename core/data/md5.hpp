#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

namespace calm::data {

// MD5 of many short texts, as a stable hash and for nothing else: the peer's split rule (spec L.5)
// asks for it. Look the digest up once, use it often.
class Md5 {
 public:
  // Throws Error(CALM_UNSUPPORTED) when the system's libcrypto refuses MD5.
  Md5();

  // The sixteen bytes, most significant first.
  std::array<std::uint8_t, 16> operator()(std::string_view bytes) const;

 private:
  struct Release {
    void operator()(void *digest) const;
  };
  std::unique_ptr<void, Release> digest_;
};

}  // namespace calm::data
