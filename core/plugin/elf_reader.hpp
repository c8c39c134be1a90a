#pragma once

#include <calm/format.h>

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

}  // namespace calm
