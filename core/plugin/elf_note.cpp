#include "core/plugin/elf_note.hpp"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include <calm/cpp/error.hpp>

#include "core/plugin/elf_layout.hpp"

namespace calm {
namespace {

constexpr std::uint32_t kNoteType = 1;
constexpr std::string_view kNoteName = "calm";
constexpr std::uint64_t kMaxNoteBytes = 64 * 1024;  // of one segment
constexpr std::uint32_t kMaxProvides = 1024;
constexpr std::size_t kMaxName = 128;

constexpr std::array<std::string_view, 8> kKinds = {"",          "operator", "backend", "format",
                                                    "tokenizer", "model",    "trainer", "domain"};

[[noreturn]] void corrupt(const std::string &message) { throw Error(CALM_CORRUPT_DATA, message); }

std::string_view take_line(std::string_view &text, std::string_view what) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) {
    corrupt(fmt::format("plugin note: expected {}, found no line", what));
  }
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
                  c == '-';
         });
}

NoteEntry parse_entry(std::string_view line) {
  const std::size_t colon = line.find(':');
  const std::size_t slash = line.rfind('/');
  NoteEntry entry;
  bool good = colon != std::string_view::npos && slash != std::string_view::npos && colon < slash;
  if (good) {
    entry.kind = line.substr(0, colon);
    entry.id = line.substr(colon + 1, slash - colon - 1);
    const std::string_view number = line.substr(slash + 1);
    const char *end = number.data() + number.size();
    const auto result = std::from_chars(number.data(), end, entry.revision);
    good = is_name(entry.kind) && is_name(entry.id) && result.ec == std::errc{} &&
           result.ptr == end && entry.revision >= 1;
  }
  if (!good) {
    corrupt("plugin note: expected kind:id/revision, found \"" +
            std::string(line.substr(0, kMaxName)) + "\"");
  }
  return entry;
}

PluginNote parse_descriptor(std::string_view bytes) {
  PluginNote note;
  std::uint32_t count = 0;
  if (bytes.size() < 2 * sizeof(std::uint32_t)) {
    corrupt(fmt::format("plugin note: expected at least 8 bytes, found {}", bytes.size()));
  }
  std::memcpy(&note.abi, bytes.data(), sizeof note.abi);
  std::memcpy(&count, bytes.data() + sizeof note.abi, sizeof count);
  if (count == 0 || count > kMaxProvides) {
    corrupt(fmt::format("plugin note: expected 1 to {} entries, found {}", kMaxProvides, count));
  }
  std::string_view text = bytes.substr(2 * sizeof(std::uint32_t));
  note.id = take_line(text, "the plugin's id");
  if (!is_name(note.id)) {
    corrupt("plugin note: expected an id of a-z 0-9 _ . -, found \"" + note.id.substr(0, kMaxName) +
            "\"");
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    NoteEntry entry = parse_entry(take_line(text, fmt::format("entry {} of {}", i + 1, count)));
    if (std::find(note.provides.begin(), note.provides.end(), entry) != note.provides.end()) {
      corrupt(fmt::format("plugin note: {}:{}/{} is listed twice", entry.kind, entry.id,
                          entry.revision));
    }
    note.provides.push_back(std::move(entry));
  }
  if (text.find_first_not_of('\0') != std::string_view::npos) {
    corrupt(fmt::format("plugin note: expected {} entries and padding, found more text", count));
  }
  return note;
}

// Finds our note among those of a segment. `align` is what name and descriptor are padded to.
void scan_notes(std::string_view notes, std::size_t align, std::optional<PluginNote> *found) {
  const auto padded = [align](std::uint64_t n) { return (n + align - 1) / align * align; };
  while (notes.size() >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr header;
    std::memcpy(&header, notes.data(), sizeof header);
    const std::uint64_t descriptor = padded(sizeof header + std::uint64_t{header.n_namesz});
    const std::uint64_t end = descriptor + header.n_descsz;
    if (end > notes.size()) {
      corrupt(fmt::format("expected a note of {} bytes, found {}", end, notes.size()));
    }
    const std::string_view name = notes.substr(sizeof header, header.n_namesz);
    // The name is stored with its terminator.
    if (header.n_type == kNoteType && name.size() == kNoteName.size() + 1 &&
        name.substr(0, kNoteName.size()) == kNoteName && name.back() == '\0') {
      if (found->has_value()) {
        corrupt("expected one plugin note, found two");
      }
      *found =
          parse_descriptor(notes.substr(static_cast<std::size_t>(descriptor), header.n_descsz));
    }
    notes.remove_prefix(std::min(notes.size(), static_cast<std::size_t>(padded(end))));
  }
}

}  // namespace

PluginNote read_plugin_note(const calm_stream &stream) {
  const ElfReader file(stream);
  std::optional<PluginNote> found;
  for (const Elf64_Phdr &segment : read_segments(file)) {
    if (segment.p_type != PT_NOTE) {
      continue;
    }
    if (segment.p_filesz > kMaxNoteBytes) {
      corrupt(fmt::format("expected at most {} bytes of notes, found {}", kMaxNoteBytes,
                          segment.p_filesz));
    }
    std::string notes(static_cast<std::size_t>(segment.p_filesz), '\0');
    file.read(segment.p_offset, notes.data(), notes.size(), "a note segment");
    scan_notes(notes, segment.p_align == 8 ? 8 : 4, &found);
  }
  if (!found.has_value()) {
    corrupt("not a calm plugin: no plugin note");
  }
  return *std::move(found);
}

std::string_view kind_name(calm_kind kind) noexcept {
  return kind < kKinds.size() ? kKinds[kind] : std::string_view{};
}

calm_kind kind_number(std::string_view name) noexcept {
  const auto at = std::find(kKinds.begin() + 1, kKinds.end(), name);
  return at == kKinds.end() ? 0 : static_cast<calm_kind>(at - kKinds.begin());
}

}  // namespace calm
