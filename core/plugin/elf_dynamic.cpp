#include "core/plugin/elf_dynamic.hpp"

#include <fmt/format.h>

#include <algorithm>

#include <calm/cpp/error.hpp>

namespace calm {

ElfDynamic::ElfDynamic(const ElfReader &file, const Elf64_Phdr &segment) {
  constexpr std::uint64_t kMost = 4096;
  const std::uint64_t count = segment.p_filesz / sizeof(Elf64_Dyn);
  if (segment.p_filesz % sizeof(Elf64_Dyn) != 0 || count > kMost ||
      segment.p_vaddr % alignof(Elf64_Dyn) != 0) {
    throw Error(CALM_CORRUPT_DATA,
                fmt::format("dynamic section: expected up to {} entries, found {} bytes", kMost,
                            segment.p_filesz));
  }
  entries_ = file.records<Elf64_Dyn>(segment.p_offset, static_cast<std::size_t>(count),
                                     "the dynamic section");
  const auto end = std::find_if(entries_.begin(), entries_.end(),
                                [](const Elf64_Dyn &entry) { return entry.d_tag == DT_NULL; });
  if (end == entries_.end()) {
    throw Error(CALM_CORRUPT_DATA, "dynamic section: expected an entry that ends it");
  }
  entries_.erase(end, entries_.end());
}

std::optional<std::uint64_t> ElfDynamic::find(Elf64_Sxword tag) const {
  std::optional<std::uint64_t> found;
  for (const Elf64_Dyn &entry : entries_) {
    if (entry.d_tag == tag) {
      found = entry.d_un.d_val;
    }
  }
  return found;
}

std::uint64_t ElfDynamic::need(Elf64_Sxword tag) const {
  const std::optional<std::uint64_t> found = find(tag);
  if (!found) {
    throw Error(CALM_CORRUPT_DATA,
                fmt::format("dynamic section: expected an entry {:#x}, found none", tag));
  }
  return *found;
}

void ElfDynamic::expect(Elf64_Sxword tag, std::uint64_t value) const {
  if (need(tag) != value) {
    throw Error(
        CALM_CORRUPT_DATA,
        fmt::format("dynamic section: entry {:#x}: expected {}, found {}", tag, value, need(tag)));
  }
}

}  // namespace calm
