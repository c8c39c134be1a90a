#pragma once

#include <cstdint>
#include <string>

namespace calm::dictionary {

/// Contents of a regular file of at most `limit` bytes. Throws IO naming the path, CORRUPT_DATA
/// when it is larger.
std::string read_file(const std::string &path, std::uint64_t limit);

/// Contents of a gzip file (dictzip files are gzip with an extra field), CRC and length verified,
/// at most `limit` bytes. Throws IO or CORRUPT_DATA naming the path and, where known, the offset.
std::string read_gzip(const std::string &path, std::uint64_t limit);

}  // namespace calm::dictionary
