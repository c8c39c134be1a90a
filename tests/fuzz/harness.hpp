#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <calm/cpp/error.hpp>

// What all fuzz targets share. A target defines LLVMFuzzerTestOneInput in a file of its own.
namespace calm::fuzz {

/// Ends the program, which libFuzzer takes for a crash and keeps the input.
[[noreturn]] inline void fail(std::string_view what, std::string_view detail = {}) {
  std::fprintf(stderr, "fuzz: %.*s: %.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(detail.size()), detail.data());
  std::abort();
}

inline void expect(bool holds, std::string_view what, std::string_view detail = {}) {
  if (!holds) {
    fail(what, detail);
  }
}

/// A message is one line, and says something.
inline void expect_message(std::string_view message) {
  expect(!message.empty(), "a refusal without a message");
  expect(message.find('\n') == std::string_view::npos, "a message of two lines", message);
}

/// Runs a reader that refuses by throwing `calm::Error`; anything else that is thrown ends the
/// program. Whether it accepted.
template <class Body>
bool accepts(calm_status refusal, Body &&body) {
  try {
    body();
    return true;
  } catch (const Error &e) {
    expect(e.status() == refusal, "refused with another status", e.what());
    expect_message(e.what());
    return false;
  }
}

inline std::string_view text_of(const std::uint8_t *data, std::size_t size) {
  return {reinterpret_cast<const char *>(data), size};
}

/// Cuts `input` at the first `separator`; the second part is empty when there is none.
inline std::string_view cut(std::string_view &input, std::string_view separator) {
  const std::size_t end = input.find(separator);
  const std::string_view first = input.substr(0, end);
  input.remove_prefix(end == std::string_view::npos ? input.size() : end + separator.size());
  return first;
}

}  // namespace calm::fuzz
