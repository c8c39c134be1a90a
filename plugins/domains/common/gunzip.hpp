#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace calm::sources {

/// Contents of a regular file of at most `limit` bytes. Throws IO naming the path, CORRUPT_DATA
/// when it is larger.
std::string read_file(const std::string &path, std::uint64_t limit);

/// Contents of a gzip file (dictzip files are gzip with an extra field), CRC and length verified,
/// at most `limit` bytes. Throws IO or CORRUPT_DATA naming the path and, where known, the offset.
std::string read_gzip(const std::string &path, std::uint64_t limit);

/// Gives up to `capacity` bytes of a file, 0 at its end.
using ByteSource = std::function<std::size_t(char *dst, std::size_t capacity)>;

/// read_gzip of bytes from anywhere; `name` stands for the path in messages.
std::string inflate_gzip(const ByteSource &source, const std::string &name, std::uint64_t limit);

}  // namespace calm::sources
