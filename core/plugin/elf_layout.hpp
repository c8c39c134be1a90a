#pragma once

#include <calm/format.h>
#include <elf.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace calm {

/// A file whose every read is checked against its size. Throws Error(CALM_CORRUPT_DATA) naming the
/// offset for a read past the end, what the stream says for one that fails. [any]
class ElfReader {
 public:
  explicit ElfReader(const calm_stream &file) : file_(file) {}

  bool holds(std::uint64_t offset, std::uint64_t bytes) const {
    return offset <= file_.bytes && bytes <= file_.bytes - offset;
  }
  void require(std::uint64_t offset, std::uint64_t bytes, std::string_view what) const;
  void read(std::uint64_t offset, void *dst, std::uint64_t bytes, std::string_view what) const;

  /// `count` records at `offset`; the caller bounds `count`.
  template <class Record>
  std::vector<Record> records(std::uint64_t offset, std::size_t count,
                              std::string_view what) const {
    std::vector<Record> result(count);
    read(offset, result.data(), count * sizeof(Record), what);
    return result;
  }

 private:
  const calm_stream &file_;
};

/// The segments of a shared library for this machine, once everything the dynamic linker takes on
/// trust was found to hold: it maps segments without a look at the file's size and follows the
/// pointers of the dynamic section unchecked, so a torn or damaged file would be a signal inside
/// dlopen.
///
/// Checked are the ELF header; that segments lie in the file, ascend, do not overlap and are mapped
/// as written; that every section lies in a segment that maps it with the access it needs; that the
/// tables the dynamic section points to are where the sections are, and that relocations write to
/// writable memory. What is not covered is the code itself: a plugin is trusted code.
/// Throws Error: CALM_CORRUPT_DATA, CALM_UNSUPPORTED for another machine. Names no path. [any]
std::vector<Elf64_Phdr> read_segments(const ElfReader &file);

}  // namespace calm
