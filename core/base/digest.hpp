#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace calm {

/// SHA-256 of bytes that come in pieces. Throws Error(CALM_UNSUPPORTED) when the system's libcrypto
/// refuses it.
class Sha256 {
 public:
  Sha256();

  void add(const void *bytes, std::uint64_t count);
  /// The sum of everything added so far as 64 hexadecimal digits; ends the object's use.
  std::string hex();

 private:
  struct Release {
    void operator()(void *context) const;
  };
  std::unique_ptr<void, Release> context_;
};

/// SHA-256 of a file's bytes. Error(CALM_IO) naming the path.
std::string sha256_of_file(const std::string &path);

}  // namespace calm
