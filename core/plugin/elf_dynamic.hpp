#pragma once

#include <elf.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "core/plugin/elf_reader.hpp"

namespace calm {

/// The entries of a dynamic section by tag, up to the one that ends it. Failures throw
/// Error(CALM_CORRUPT_DATA). [any]
class ElfDynamic {
 public:
  ElfDynamic(const ElfReader &file, const Elf64_Phdr &segment);

  const std::vector<Elf64_Dyn> &entries() const { return entries_; }

  /// The value of `tag`; of one that repeats (DT_NEEDED) the last.
  std::optional<std::uint64_t> find(Elf64_Sxword tag) const;
  std::uint64_t need(Elf64_Sxword tag) const;
  void expect(Elf64_Sxword tag, std::uint64_t value) const;

 private:
  std::vector<Elf64_Dyn> entries_;
};

}  // namespace calm
