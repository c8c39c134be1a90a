#pragma once

#include <calm/tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The JSON header of a safetensors file and the limits set on it.
namespace calm::safetensors {

inline constexpr std::uint64_t kLengthBytes = 8;  // u64 length before the header
inline constexpr std::uint64_t kMaxHeaderBytes = 16u << 20;
inline constexpr std::size_t kMaxNameBytes = 1024;
inline constexpr std::size_t kMaxTensors = 65536;
// A tensor without an element needs no bytes, so nothing but this bounds its other axes.
inline constexpr std::uint64_t kMaxEmptyElements = 0x7fffffff;
inline constexpr std::string_view kMetadataKey = "__metadata__";

struct Entry {
  std::string name;
  calm_type type{};
  std::uint64_t begin = 0, end = 0;  // bytes of the data behind the header
};

struct Header {
  std::vector<std::pair<std::string, std::string>> metadata;  // in file order
  std::vector<Entry> entries;                                 // in file order
};

// CORRUPT_DATA with the file offset unless the header is one strict JSON object whose tensors cover
// `data_bytes` exactly: no hole, no overlap, no duplicate, shape and dtype equal to the byte range.
Header parse_header(std::string_view json, std::uint64_t data_bytes);

// Bytes of a tensor if each axis of 0 were 1; nothing when that is 2^63 or more.
std::optional<std::uint64_t> bytes_without_zeros(const calm_type &type);

// Whether some axis is 0 and the others multiply to more than kMaxEmptyElements.
bool is_empty_and_huge(const calm_type &type);

// A name as one line for messages: quoted, escaped, shortened.
std::string shown(std::string_view name);

}  // namespace calm::safetensors
