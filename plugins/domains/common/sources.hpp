#pragma once

#include <calm/domain.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace calm::sources {

/// The largest text an importer reads, inflated.
inline constexpr std::uint64_t kMaxText = std::uint64_t{1} << 26;

struct SourceFile {
  std::string path;
  bool named = false;  ///< by the user; otherwise found in a folder the user named
};

/// The files of a request: those named, in their order, and in the place of a folder the regular
/// files below it in the order of their paths. A file that several names or links lead to counts
/// once; links to folders are not followed. Throws IO for a source that is not there.
std::vector<SourceFile> list_files(const calm_import &request);

/// The contents of a file, gzip (by its first bytes) or plain. Throws IO or CORRUPT_DATA.
std::string read_bytes(const std::string &path, std::uint64_t limit = kMaxText);

/// At most the first or last `limit` bytes of a regular file; nothing when there is none to read.
std::optional<std::string> read_beginning(const std::string &path, std::size_t limit);
std::optional<std::string> read_end(const std::string &path, std::size_t limit);

/// The end of a file's name, after the last slash; without ".gz" where it has that.
std::string_view file_name(std::string_view path);

}  // namespace calm::sources
