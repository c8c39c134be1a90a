#pragma once

#include <elf.h>

#include <vector>

#include "core/plugin/elf_reader.hpp"

namespace calm {

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
