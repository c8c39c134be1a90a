#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

/// What the file code of this room shares.
namespace calm::io {

inline std::string reason(int number) { return std::generic_category().message(number); }

/// Error(CALM_IO) "PATH: WHAT: WHY".
[[noreturn]] inline void refuse(const std::string &path, std::string_view what,
                                std::string_view why) {
  throw Error(CALM_IO, fmt::format("{}: {}: {}", path, what, why));
}

/// The folder an entry is in, "." for a bare name.
inline std::string parent_of(const std::string &path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace calm::io
