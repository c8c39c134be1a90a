#include "core/plugin/elf_note.hpp"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <calm/cpp/error.hpp>
#include <cstddef>
#include <cstring>
#include <string>

#include "tests/core/temp_folder.hpp"

namespace {

using calm::PluginNote;
using testing::HasSubstr;

calm_stream stream_of(const std::string &bytes) {
  calm_stream stream{};
  stream.size = sizeof stream;
  stream.self = const_cast<std::string *>(&bytes);
  stream.bytes = bytes.size();
  stream.read_at = [](void *self, std::uint64_t offset, void *dst, std::uint64_t count,
                      calm_error *error) {
    const auto &all = *static_cast<const std::string *>(self);
    if (offset > all.size() || count > all.size() - offset) {
      return calm::fail(error, CALM_INTERNAL, "a read went past the end");
    }
    std::memcpy(dst, all.data() + offset, static_cast<std::size_t>(count));
    return CALM_OK;
  };
  return stream;
}

// The reason for which `bytes` are refused; empty when they are not.
std::string refusal(const std::string &bytes, calm_status expected = CALM_CORRUPT_DATA) {
  try {
    calm::read_plugin_note(stream_of(bytes));
  } catch (const calm::Error &e) {
    EXPECT_EQ(e.status(), expected) << e.what();
    return e.what();
  }
  return {};
}

const std::string &good() {
  static const std::string bytes =
      calm_test::read_bytes(std::string(CALM_TEST_FIXTURES) + "/good.so");
  return bytes;
}

std::size_t descriptor_offset() {
  const std::size_t text = good().find("fixture.good\nformat:good/1\n");
  EXPECT_NE(text, std::string::npos);
  return text - 8;
}

template <class Word>
std::string patched(std::size_t offset, Word word) {
  std::string bytes = good();
  std::memcpy(bytes.data() + offset, &word, sizeof word);
  return bytes;
}

TEST(ElfNote, ReadsWhatTheBuildWrote) {
  const PluginNote note = calm::read_plugin_note(stream_of(good()));
  EXPECT_EQ(note.abi, CALM_ABI_CURRENT);
  EXPECT_EQ(note.id, "fixture.good");
  ASSERT_EQ(note.provides.size(), 5u);
  EXPECT_EQ(note.provides[0], (calm::NoteEntry{"format", "good", 1}));
  EXPECT_EQ(note.provides[4], (calm::NoteEntry{"theme", "dark", 1}));
}

TEST(ElfNote, RefusesTheFileTruncatedAtAnyLength) {
  const std::size_t step = good().size() / 4096 + 1;
  for (std::size_t size = 0; size < good().size(); size += size < 1024 ? 1 : step) {
    EXPECT_NE(refusal(good().substr(0, size)), "") << size;
  }
  EXPECT_THAT(refusal(good().substr(0, good().size() - 1)), HasSubstr("truncated"));
}

TEST(ElfNote, NoChangedByteMakesAReadGoWrong) {
  // Headers and the note: a changed byte is refused, or it is one that does not matter.
  const std::size_t note = descriptor_offset() - 20;
  for (std::size_t i = 0; i < 1024 + 160; ++i) {
    const std::size_t at = i < 1024 ? i : note + i - 1024;
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string bytes = good();
      bytes[at] = static_cast<char>(bytes[at] ^ flip);
      try {
        calm::read_plugin_note(stream_of(bytes));
      } catch (const calm::Error &e) {
        EXPECT_NE(e.status(), CALM_INTERNAL) << at << ": " << e.what();
      }
    }
  }
}

TEST(ElfNote, RefusesWhatIsNotALibrary) {
  EXPECT_THAT(refusal(""), HasSubstr("too short"));
  EXPECT_THAT(refusal("#!/bin/sh\necho this is text named .so\n"), HasSubstr("no ELF magic"));
  EXPECT_THAT(refusal(std::string("\x7f"
                                  "ELF")),
              HasSubstr("truncated"));
}

TEST(ElfNote, RefusesAnotherMachineClassOrByteOrder) {
  EXPECT_THAT(
      refusal(patched<std::uint16_t>(offsetof(Elf64_Ehdr, e_machine), EM_RISCV), CALM_UNSUPPORTED),
      HasSubstr("another processor"));
  EXPECT_THAT(refusal(patched<char>(EI_CLASS, ELFCLASS32), CALM_UNSUPPORTED), HasSubstr("64-bit"));
  EXPECT_THAT(refusal(patched<char>(EI_DATA, ELFDATA2MSB), CALM_UNSUPPORTED),
              HasSubstr("little-endian"));
}

TEST(ElfNote, RefusesAProgram) {
  EXPECT_THAT(refusal(patched<std::uint16_t>(offsetof(Elf64_Ehdr, e_type), ET_EXEC)),
              HasSubstr("expected a shared library"));
}

TEST(ElfNote, RefusesHeadersThatPointOutOfTheFile) {
  EXPECT_THAT(refusal(patched<std::uint64_t>(offsetof(Elf64_Ehdr, e_phoff), ~0ull - 3)),
              HasSubstr("the program headers"));
  EXPECT_THAT(refusal(patched<std::uint64_t>(offsetof(Elf64_Ehdr, e_shoff), 1ull << 60)),
              HasSubstr("the section headers"));
  EXPECT_THAT(refusal(patched<std::uint16_t>(offsetof(Elf64_Ehdr, e_phnum), 0xffff)),
              HasSubstr("program headers"));
  EXPECT_THAT(refusal(patched<std::uint64_t>(sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, p_filesz),
                                             1ull << 40)),
              HasSubstr("a segment"));
}

TEST(ElfNote, RefusesALibraryWithoutOurNote) {
  // The owner's name stands 8 bytes before the descriptor.
  EXPECT_THAT(refusal(patched<char>(descriptor_offset() - 8, 'k')), HasSubstr("not a calm plugin"));
  EXPECT_THAT(refusal(patched<char>(descriptor_offset() - 12, 2)), HasSubstr("not a calm plugin"));
}

TEST(ElfNote, RefusesANoteThatContradictsItself) {
  const std::size_t count = descriptor_offset() + 4;
  EXPECT_THAT(refusal(patched<std::uint32_t>(count, 0)), HasSubstr("expected 1 to"));
  EXPECT_THAT(refusal(patched<std::uint32_t>(count, 4)), HasSubstr("found more text"));
  EXPECT_THAT(refusal(patched<std::uint32_t>(count, 6)), HasSubstr("expected entry 6 of 6"));
  EXPECT_THAT(refusal(patched<std::uint32_t>(count, ~0u)), HasSubstr("expected 1 to"));
  EXPECT_THAT(refusal(patched<char>(descriptor_offset() + 8, 'F')), HasSubstr("expected an id"));
  const std::size_t entry = good().find("format:good/1");
  EXPECT_THAT(refusal(patched<char>(entry + 6, '.')), HasSubstr("kind:id/revision"));
  EXPECT_THAT(refusal(patched<char>(entry + 12, '0')), HasSubstr("kind:id/revision"));
  EXPECT_THAT(refusal(patched<char>(entry + 12, 'x')), HasSubstr("kind:id/revision"));
}

TEST(ElfNote, KindsHaveNamesBothWays) {
  for (calm_kind kind = CALM_KIND_OPERATOR; kind <= CALM_KIND_DOMAIN; ++kind) {
    EXPECT_EQ(calm::kind_number(calm::kind_name(kind)), kind);
  }
  EXPECT_EQ(calm::kind_name(CALM_KIND_BACKEND), "backend");
  EXPECT_EQ(calm::kind_name(0), "");
  EXPECT_EQ(calm::kind_name(99), "");
  EXPECT_EQ(calm::kind_number("theme"), 0u);
  EXPECT_EQ(calm::kind_number(""), 0u);
}

}  // namespace
