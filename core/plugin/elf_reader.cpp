#include "core/plugin/elf_reader.hpp"

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

namespace calm {

void ElfReader::require(std::uint64_t offset, std::uint64_t bytes, std::string_view what) const {
  if (!holds(offset, bytes)) {
    throw Error(CALM_CORRUPT_DATA,
                fmt::format("truncated: expected {} at offset {}, {} bytes, in a file of {} bytes",
                            what, offset, bytes, file_.bytes));
  }
}

void ElfReader::read(std::uint64_t offset, void *dst, std::uint64_t bytes,
                     std::string_view what) const {
  require(offset, bytes, what);
  call(file_.read_at, file_.self, offset, dst, bytes);
}

}  // namespace calm
