#include "core/plugin/elf_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <string>

#include <calm/cpp/error.hpp>

#include "core/plugin/elf_dynamic.hpp"

namespace calm {
namespace {

static_assert(std::endian::native == std::endian::little, "the ABI is little-endian");

#if defined(__x86_64__)
constexpr std::uint16_t kMachine = EM_X86_64;
constexpr std::uint32_t kRelative = R_X86_64_RELATIVE;
#elif defined(__aarch64__)
constexpr std::uint16_t kMachine = EM_AARCH64;
constexpr std::uint32_t kRelative = R_AARCH64_RELATIVE;
#else
#error "plugins are for x86-64 and aarch64"
#endif

constexpr std::size_t kMaxSegments = 512;
constexpr std::size_t kMaxSections = 4096;
constexpr std::uint64_t kMaxSpan = 1ull << 36;         // of mapped addresses
constexpr std::uint64_t kMaxRelocations = 1ull << 20;  // of one table
constexpr std::uint64_t kMaxNames = 1ull << 20;        // bytes of section names
constexpr std::uint64_t kPage = 4096;                  // what segments are at least aligned to
constexpr std::uint64_t kRelocationsAtOnce = 4096;

[[noreturn]] void corrupt(const std::string &message) { throw Error(CALM_CORRUPT_DATA, message); }

void check_header(const Elf64_Ehdr &header) {
  const unsigned char *ident = header.e_ident;
  if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB) {
    throw Error(CALM_UNSUPPORTED, "expected a 64-bit little-endian library, found another kind");
  }
  if (ident[EI_VERSION] != EV_CURRENT || header.e_version != EV_CURRENT) {
    corrupt(fmt::format("expected ELF version 1, found {}", header.e_version));
  }
  if (header.e_machine != kMachine) {
    throw Error(CALM_UNSUPPORTED,
                fmt::format("made for another processor: expected machine {}, found {}", kMachine,
                            header.e_machine));
  }
  if (header.e_type != ET_DYN) {
    corrupt(fmt::format("expected a shared library (type 3), found type {}", header.e_type));
  }
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 ||
      header.e_phnum > kMaxSegments) {
    corrupt(fmt::format("expected 1 to {} program headers of 56 bytes, found {} of {}",
                        kMaxSegments, header.e_phnum, header.e_phentsize));
  }
  // None at all is fine: only linkers need them.
  const bool sections = header.e_shoff != 0 || header.e_shnum != 0;
  if (sections &&
      (header.e_shoff == 0 || header.e_shnum == 0 || header.e_shnum > kMaxSections ||
       header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shstrndx >= header.e_shnum)) {
    corrupt(
        fmt::format("expected up to {} section headers of 64 bytes, found {} of {} at offset {}",
                    kMaxSections, header.e_shnum, header.e_shentsize, header.e_shoff));
  }
}

// Whether [offset, offset + bytes) lies in [start, start + size), none of it wrapping around.
bool within(std::uint64_t offset, std::uint64_t bytes, std::uint64_t start, std::uint64_t size) {
  return offset >= start && offset - start <= size && bytes <= size - (offset - start);
}

class Layout {
 public:
  Layout(const ElfReader &file, const Elf64_Ehdr &header)
      : file_(file),
        headers_at_(header.e_phoff),
        segments_(file.records<Elf64_Phdr>(header.e_phoff, header.e_phnum, "the program headers")) {
    // They stand at the end of the file, so they tell of a torn copy even where nothing else does.
    if (header.e_shnum != 0) {
      sections_ = file.records<Elf64_Shdr>(header.e_shoff, header.e_shnum, "the section headers");
      read_names(sections_[header.e_shstrndx]);
    }
  }

  void check() {
    check_loads();
    for (const Elf64_Phdr &segment : segments_) {
      check_segment(segment);
    }
    for (std::size_t i = 0; i < sections_.size(); ++i) {
      check_section(i);
    }
    check_dynamic();
  }

  std::vector<Elf64_Phdr> take() { return std::move(segments_); }

 private:
  void read_names(const Elf64_Shdr &section);
  std::string_view name(std::size_t section) const;
  void check_loads() const;
  void check_segment(const Elf64_Phdr &segment) const;
  void check_relro(const Elf64_Phdr &segment) const;
  void check_section(std::size_t index) const;
  void check_dynamic() const;
  void check_table(Elf64_Sxword tag, std::uint64_t address, std::uint64_t bytes,
                   std::uint32_t access, std::uint32_t section_type, bool exact) const;
  std::uint64_t check_relocations(std::uint64_t address, std::uint64_t bytes,
                                  std::uint64_t symbols) const;
  std::uint64_t symbol_count(std::uint64_t address) const;

  // The loaded segment that maps [address, address + bytes); only what the file holds of it when
  // `in_file`.
  const Elf64_Phdr *mapped(std::uint64_t address, std::uint64_t bytes, bool in_file) const {
    for (const Elf64_Phdr &segment : segments_) {
      if (segment.p_type == PT_LOAD &&
          within(address, bytes, segment.p_vaddr, in_file ? segment.p_filesz : segment.p_memsz)) {
        return &segment;
      }
    }
    return nullptr;
  }

  const ElfReader &file_;
  std::uint64_t headers_at_;
  std::vector<Elf64_Phdr> segments_;
  std::vector<Elf64_Shdr> sections_;
  std::string names_;
};

void Layout::read_names(const Elf64_Shdr &section) {
  if (section.sh_type != SHT_STRTAB || section.sh_size > kMaxNames) {
    corrupt(fmt::format("expected a table of section names, found type {} of {} bytes",
                        section.sh_type, section.sh_size));
  }
  file_.require(section.sh_offset, section.sh_size, "the section names");
  names_.resize(static_cast<std::size_t>(section.sh_size));
  file_.read(section.sh_offset, names_.data(), names_.size(), "the section names");
}

std::string_view Layout::name(std::size_t section) const {
  const std::size_t at = sections_[section].sh_name;
  if (at >= names_.size()) {
    return {};
  }
  const std::string_view rest = std::string_view(names_).substr(at);
  return rest.substr(0, rest.find('\0'));
}

void Layout::check_loads() const {
  std::uint64_t end = 0;  // of what is mapped so far, whole pages
  bool any = false;
  for (const Elf64_Phdr &segment : segments_) {
    if (segment.p_type != PT_LOAD) {
      continue;
    }
    if (segment.p_memsz < segment.p_filesz || segment.p_vaddr > kMaxSpan ||
        segment.p_memsz > kMaxSpan) {
      corrupt(
          fmt::format("a segment at address {:#x}: expected at least {} bytes of memory, found {}",
                      segment.p_vaddr, segment.p_filesz, segment.p_memsz));
    }
    if (!std::has_single_bit(segment.p_align) || segment.p_align < kPage ||
        segment.p_align > kMaxSpan || (segment.p_vaddr - segment.p_offset) % segment.p_align != 0) {
      corrupt(
          fmt::format("a segment at address {:#x}, offset {}: expected both to agree modulo a "
                      "power of two from {}, found {:#x}",
                      segment.p_vaddr, segment.p_offset, kPage, segment.p_align));
    }
    const std::uint64_t start = segment.p_vaddr / kPage * kPage;
    if (any && start < end) {
      corrupt(fmt::format("a segment at address {:#x}: expected one from {:#x} on", segment.p_vaddr,
                          end));
    }
    end = (segment.p_vaddr + segment.p_memsz + kPage - 1) / kPage * kPage;
    any = true;
  }
  if (!any) {
    corrupt("expected a segment to load, found none");
  }
  // Without one the dynamic linker takes it for a request.
  const bool stack_is_data =
      std::any_of(segments_.begin(), segments_.end(), [](const Elf64_Phdr &segment) {
        return segment.p_type == PT_GNU_STACK && (segment.p_flags & PF_X) == 0;
      });
  if (!stack_is_data) {
    corrupt("asks for an executable stack (link it with -z noexecstack)");
  }
}

void Layout::check_segment(const Elf64_Phdr &segment) const {
  if (segment.p_type == PT_NULL || segment.p_type == PT_GNU_STACK) {
    return;
  }
  file_.require(segment.p_offset, segment.p_filesz, "a segment");
  if (segment.p_type == PT_LOAD) {
    return;
  }
  if (segment.p_type == PT_INTERP) {
    corrupt("expected a library, found a program");
  }
  // Everything else describes a part of what is loaded.
  const std::uint64_t in_memory = segment.p_type == PT_TLS ? segment.p_filesz : segment.p_memsz;
  const Elf64_Phdr *load = mapped(segment.p_vaddr, in_memory, false);
  if (load == nullptr || segment.p_memsz < segment.p_filesz ||
      segment.p_vaddr - load->p_vaddr != segment.p_offset - load->p_offset) {
    corrupt(
        fmt::format("a segment of type {:#x} at address {:#x}, offset {}: expected a part of a "
                    "loaded one",
                    segment.p_type, segment.p_vaddr, segment.p_offset));
  }
  if (segment.p_type == PT_TLS && (!std::has_single_bit(segment.p_align) ||
                                   segment.p_align > kPage || segment.p_memsz > kMaxSpan)) {
    corrupt(fmt::format("thread-local storage: expected an alignment of up to {}, found {}", kPage,
                        segment.p_align));
  }
  if (segment.p_type == PT_GNU_RELRO) {
    check_relro(segment);
  }
  if (segment.p_type == PT_PHDR) {
    if (segment.p_offset != headers_at_ ||
        segment.p_filesz != segments_.size() * sizeof(Elf64_Phdr)) {
      corrupt(fmt::format("a segment of the program headers: expected offset {}, found {}",
                          headers_at_, segment.p_offset));
    }
    return;
  }
  // The segments the linker made from sections start with one.
  const bool at_section =
      sections_.empty() || segment.p_type == PT_GNU_RELRO ||
      std::any_of(sections_.begin(), sections_.end(), [&segment](const Elf64_Shdr &section) {
        return (section.sh_flags & SHF_ALLOC) != 0 && section.sh_addr == segment.p_vaddr;
      });
  if (!at_section) {
    corrupt(fmt::format("a segment of type {:#x} at address {:#x}: expected a section there",
                        segment.p_type, segment.p_vaddr));
  }
}

// What is made read-only once relocated must not hold what is written later.
void Layout::check_relro(const Elf64_Phdr &segment) const {
  const std::uint64_t start = segment.p_vaddr / kPage * kPage;
  const std::uint64_t end = (segment.p_vaddr + segment.p_memsz) / kPage * kPage;
  for (std::size_t i = 0; i < sections_.size(); ++i) {
    const Elf64_Shdr &section = sections_[i];
    const std::string_view called = name(i);
    if ((called == ".data" || called == ".bss") && section.sh_addr < end &&
        section.sh_addr + section.sh_size > start) {
      corrupt(fmt::format("{} at address {:#x} would be read-only up to {:#x}", called,
                          section.sh_addr, end));
    }
  }
}

// Sections say independently of segments what is to be where, with what access.
void Layout::check_section(std::size_t index) const {
  const Elf64_Shdr &section = sections_[index];
  const bool in_file = section.sh_type != SHT_NOBITS;
  if (section.sh_type == SHT_NULL) {
    return;
  }
  if (in_file) {
    file_.require(section.sh_offset, section.sh_size, "a section");
  }
  // Without these segments exceptions end the process, and thread-local variables are anywhere.
  const bool unwinds = name(index) == ".eh_frame_hdr";
  if (unwinds || (section.sh_flags & SHF_TLS) != 0) {
    const std::uint32_t type = unwinds ? PT_GNU_EH_FRAME : PT_TLS;
    const bool covered =
        std::any_of(segments_.begin(), segments_.end(), [&](const Elf64_Phdr &segment) {
          return segment.p_type == type &&
                 within(section.sh_addr, section.sh_size, segment.p_vaddr, segment.p_memsz);
        });
    if (!covered) {
      corrupt(
          fmt::format("section {}: expected a segment of type {:#x} for it", name(index), type));
    }
  }
  const bool thread_zeros = !in_file && (section.sh_flags & SHF_TLS) != 0;  // takes no address
  if ((section.sh_flags & SHF_ALLOC) == 0 || thread_zeros) {
    return;
  }
  const Elf64_Phdr *load = mapped(section.sh_addr, section.sh_size, in_file);
  std::uint32_t access = PF_R;
  access |= (section.sh_flags & SHF_WRITE) != 0 ? PF_W : 0;
  access |= (section.sh_flags & SHF_EXECINSTR) != 0 ? PF_X : 0;
  if (load == nullptr || (load->p_flags & access) != access ||
      (in_file && section.sh_addr - load->p_vaddr != section.sh_offset - load->p_offset)) {
    corrupt(fmt::format("section {} at address {:#x}, {} bytes: no segment loads it as it needs",
                        name(index), section.sh_addr, section.sh_size));
  }
}

// One of the tables that the dynamic section points to; of an `exact` one the size is known too.
void Layout::check_table(Elf64_Sxword tag, std::uint64_t address, std::uint64_t bytes,
                         std::uint32_t access, std::uint32_t section_type, bool exact) const {
  const Elf64_Phdr *load = mapped(address, bytes, true);
  bool good = load != nullptr && (load->p_flags & access) == access;
  if (good && !sections_.empty()) {
    good = std::any_of(sections_.begin(), sections_.end(), [&](const Elf64_Shdr &section) {
      return section.sh_type == section_type && section.sh_addr == address &&
             (!exact || section.sh_size == bytes);
    });
  }
  if (!good) {
    corrupt(
        fmt::format("dynamic section: entry {:#x}: expected a table of {} bytes, found address "
                    "{:#x}",
                    tag, bytes, address));
  }
}

// Symbols of the dynamic table: what its section says, else as many as there is room for.
std::uint64_t Layout::symbol_count(std::uint64_t address) const {
  for (const Elf64_Shdr &section : sections_) {
    if (section.sh_type == SHT_DYNSYM && section.sh_addr == address) {
      return section.sh_size / sizeof(Elf64_Sym);
    }
  }
  const Elf64_Phdr *load = mapped(address, 0, true);
  return load == nullptr ? 0 : (load->p_filesz - (address - load->p_vaddr)) / sizeof(Elf64_Sym);
}

// Returns how many relative ones it starts with.
std::uint64_t Layout::check_relocations(std::uint64_t address, std::uint64_t bytes,
                                        std::uint64_t symbols) const {
  std::uint64_t relative = 0;
  std::uint64_t seen = 0;
  const Elf64_Phdr *load = mapped(address, bytes, true);
  if (load == nullptr || bytes % sizeof(Elf64_Rela) != 0 ||
      bytes / sizeof(Elf64_Rela) > kMaxRelocations) {
    corrupt(fmt::format("dynamic section: {} bytes of relocations at address {:#x} are not loaded",
                        bytes, address));
  }
  const std::uint64_t offset = load->p_offset + (address - load->p_vaddr);
  const std::uint64_t count = bytes / sizeof(Elf64_Rela);
  for (std::uint64_t done = 0; done < count; done += kRelocationsAtOnce) {
    const std::uint64_t now = std::min(kRelocationsAtOnce, count - done);
    for (const Elf64_Rela &relocation : file_.records<Elf64_Rela>(
             offset + done * sizeof(Elf64_Rela), static_cast<std::size_t>(now), "relocations")) {
      relative += relative == seen && ELF64_R_TYPE(relocation.r_info) == kRelative ? 1 : 0;
      ++seen;
      const Elf64_Phdr *target = mapped(relocation.r_offset, sizeof(std::uint64_t), false);
      if (target == nullptr || (target->p_flags & PF_W) == 0) {
        corrupt(fmt::format("a relocation of address {:#x}: expected writable memory",
                            relocation.r_offset));
      }
      if (ELF64_R_SYM(relocation.r_info) >= std::max<std::uint64_t>(symbols, 1)) {
        corrupt(fmt::format("a relocation of address {:#x}: expected one of {} symbols, found {}",
                            relocation.r_offset, symbols, ELF64_R_SYM(relocation.r_info)));
      }
    }
  }
  return relative;
}

void Layout::check_dynamic() const {
  const auto is_dynamic = [](const Elf64_Phdr &segment) { return segment.p_type == PT_DYNAMIC; };
  const auto at = std::find_if(segments_.begin(), segments_.end(), is_dynamic);
  if (at == segments_.end() || std::count_if(segments_.begin(), segments_.end(), is_dynamic) != 1) {
    corrupt("expected one dynamic section");
  }
  check_table(PT_DYNAMIC, at->p_vaddr, at->p_filesz, PF_R, SHT_DYNAMIC, true);
  const ElfDynamic dynamic(file_, *at);

  const std::uint64_t names = dynamic.need(DT_STRSZ);
  check_table(DT_STRTAB, dynamic.need(DT_STRTAB), names, PF_R, SHT_STRTAB, true);
  check_table(DT_SYMTAB, dynamic.need(DT_SYMTAB), sizeof(Elf64_Sym), PF_R, SHT_DYNSYM, false);
  dynamic.expect(DT_SYMENT, sizeof(Elf64_Sym));
  const std::uint64_t symbols = symbol_count(dynamic.need(DT_SYMTAB));
  for (const Elf64_Dyn &entry : dynamic.entries()) {
    const Elf64_Sxword tag = entry.d_tag;
    constexpr Elf64_Sxword kNames[] = {DT_NEEDED, DT_SONAME, DT_RUNPATH,  DT_RPATH,
                                       DT_FILTER, DT_AUDIT,  DT_DEPAUDIT, DT_AUXILIARY};
    if (std::find(std::begin(kNames), std::end(kNames), tag) != std::end(kNames) &&
        entry.d_un.d_val >= names) {
      corrupt(fmt::format("dynamic section: entry {:#x}: expected a name, found offset {} of {}",
                          tag, entry.d_un.d_val, names));
    }
  }

  struct Sized {
    Elf64_Sxword address, bytes;
    std::uint32_t access, section;
  };
  constexpr Sized kSized[] = {
      {DT_RELA, DT_RELASZ, PF_R, SHT_RELA},
      {DT_JMPREL, DT_PLTRELSZ, PF_R, SHT_RELA},
      {DT_INIT_ARRAY, DT_INIT_ARRAYSZ, PF_R, SHT_INIT_ARRAY},
      {DT_FINI_ARRAY, DT_FINI_ARRAYSZ, PF_R, SHT_FINI_ARRAY},
      {DT_RELR, DT_RELRSZ, PF_R, SHT_RELR},
  };
  for (const Sized &table : kSized) {
    // A size alone would be as wrong as an address alone.
    const std::uint64_t bytes = dynamic.find(table.bytes).value_or(0);
    if (dynamic.find(table.address) || bytes != 0) {
      check_table(table.address, dynamic.need(table.address), dynamic.need(table.bytes),
                  table.access, table.section, true);
    }
  }
  if (dynamic.find(DT_RELA)) {
    dynamic.expect(DT_RELAENT, sizeof(Elf64_Rela));
    const std::uint64_t relative =
        check_relocations(dynamic.need(DT_RELA), dynamic.need(DT_RELASZ), symbols);
    if (const std::uint64_t said = dynamic.find(DT_RELACOUNT).value_or(0); said > relative) {
      corrupt(fmt::format("dynamic section: expected {} relative relocations, found {}", said,
                          relative));
    }
  }
  if (dynamic.find(DT_JMPREL)) {
    dynamic.expect(DT_PLTREL, DT_RELA);
    check_relocations(dynamic.need(DT_JMPREL), dynamic.need(DT_PLTRELSZ), symbols);
  }

  struct Pointer {
    Elf64_Sxword tag;
    std::uint32_t access, section;
  };
  constexpr Pointer kPointers[] = {
      {DT_INIT, PF_X, SHT_PROGBITS},     {DT_FINI, PF_X, SHT_PROGBITS},
      {DT_GNU_HASH, PF_R, SHT_GNU_HASH}, {DT_HASH, PF_R, SHT_HASH},
      {DT_VERSYM, PF_R, SHT_GNU_versym}, {DT_VERNEED, PF_R, SHT_GNU_verneed},
      {DT_VERDEF, PF_R, SHT_GNU_verdef}, {DT_PLTGOT, PF_R, SHT_PROGBITS},
  };
  for (const Pointer &pointer : kPointers) {
    if (const std::optional<std::uint64_t> address = dynamic.find(pointer.tag)) {
      check_table(pointer.tag, *address, 4, pointer.access, pointer.section, false);
    }
  }
  // A table nobody points to would be missed: its entry was changed into another.
  constexpr std::pair<std::uint32_t, Elf64_Sxword> kPointedTo[] = {{SHT_DYNSYM, DT_SYMTAB},
                                                                   {SHT_RELA, DT_RELA},
                                                                   {SHT_RELR, DT_RELR},
                                                                   {SHT_INIT_ARRAY, DT_INIT_ARRAY},
                                                                   {SHT_FINI_ARRAY, DT_FINI_ARRAY},
                                                                   {SHT_GNU_HASH, DT_GNU_HASH},
                                                                   {SHT_GNU_versym, DT_VERSYM},
                                                                   {SHT_GNU_verneed, DT_VERNEED}};
  for (const Elf64_Shdr &section : sections_) {
    for (const auto &[type, tag] : kPointedTo) {
      if (section.sh_type == type && (section.sh_flags & SHF_ALLOC) != 0 &&
          dynamic.find(tag) != section.sh_addr &&
          (tag != DT_RELA || dynamic.find(DT_JMPREL) != section.sh_addr)) {
        corrupt(
            fmt::format("dynamic section: expected an entry {:#x} of {:#x}", tag, section.sh_addr));
      }
    }
  }
  // Code that is called: at the start of some section is not enough.
  for (const auto &[tag, called] : {std::pair(DT_INIT, ".init"), std::pair(DT_FINI, ".fini")}) {
    for (std::size_t i = 0; i < sections_.size(); ++i) {
      const bool runs = (sections_[i].sh_flags & SHF_EXECINSTR) != 0;
      if (runs && name(i) == called && dynamic.find(tag) != sections_[i].sh_addr) {
        corrupt(fmt::format("dynamic section: entry {:#x}: expected {} at {:#x}", tag, called,
                            sections_[i].sh_addr));
      }
    }
  }
  if (!dynamic.find(DT_GNU_HASH) && !dynamic.find(DT_HASH)) {
    corrupt("dynamic section: expected a hash table of symbols, found none");
  }
  if (dynamic.find(DT_VERNEED) && !dynamic.find(DT_VERSYM)) {
    corrupt("dynamic section: version names without versions");
  }
  if (dynamic.find(DT_VERNEED).has_value() != dynamic.find(DT_VERNEEDNUM).has_value() ||
      dynamic.find(DT_VERDEF).has_value() != dynamic.find(DT_VERDEFNUM).has_value()) {
    corrupt("dynamic section: version tables without their counts");
  }
  if (dynamic.find(DT_REL) || dynamic.find(DT_TEXTREL)) {
    corrupt("dynamic section: relocations of a kind that no plugin for this machine has");
  }
}

}  // namespace

std::vector<Elf64_Phdr> read_segments(const ElfReader &file) {
  std::array<char, SELFMAG> magic{};
  if (!file.holds(0, magic.size())) {
    corrupt("not a library: the file is too short");
  }
  file.read(0, magic.data(), magic.size(), "the ELF magic");
  if (std::memcmp(magic.data(), ELFMAG, SELFMAG) != 0) {
    corrupt("not a library: no ELF magic at offset 0");
  }
  Elf64_Ehdr header;
  file.read(0, &header, sizeof header, "the ELF header");
  check_header(header);
  Layout layout(file, header);
  layout.check();
  return layout.take();
}

}  // namespace calm
