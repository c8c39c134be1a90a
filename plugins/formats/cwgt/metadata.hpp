#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

// The three texts behind the header (spec K.3).
namespace calm::cwgt {

struct Metadata {
  std::string domain, prompt_template, stop_conditions;
};

// Splits at LF after replacing what is not UTF-8; missing lines are empty, further ones are
// ignored.
Metadata parse_metadata(std::span<const std::byte> blob);

// Nothing when all texts are empty. INVALID_ARGUMENT for a text with an LF or that is not UTF-8,
// and for more than 4096 bytes in all.
std::string pack_metadata(const Metadata &metadata);

// Each maximal invalid subpart becomes one U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

}  // namespace calm::cwgt
