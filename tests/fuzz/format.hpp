#pragma once

#include <calm/format.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

// What the targets of file formats share. The plugin's sources are linked into the target, and met
// through its table like a loaded one.
namespace calm::fuzz {

struct FormatRules {
  /// Documents that are read but need not be written.
  bool (*may_refuse)(const calm_document &);
  /// The field that a writer sets itself.
  std::string_view rewritten;
};

/// Opens the bytes as a file and reads every tensor. What is accepted must be writable, and what is
/// written must read as the same document and be written again byte for byte (tried for one input
/// in eight).
void run_format(const std::uint8_t *data, std::size_t size, const FormatRules &rules);

}  // namespace calm::fuzz
