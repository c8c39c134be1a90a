// Damaged copies of a real plugin, each read and, when its layout is believed, loaded and used in a
// process of its own: a reason or a working plugin, never a signal.
#include <elf.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <calm/cpp/error.hpp>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "core/plugin/elf_note.hpp"
#include "core/plugin/loader.hpp"
#include "tests/core/temp_folder.hpp"

namespace {

using calm_test::TempFolder;

const std::string &real_plugin() {
  static const std::string bytes =
      calm_test::read_bytes(std::string(CALM_TEST_PLUGINS) + "/cwgt.so");
  return bytes;
}

calm::PluginNote read_note(const std::string &bytes) {
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
  return calm::read_plugin_note(stream);
}

// What the format makes of an empty file: an exception is thrown and caught within the plugin.
void use(const calm::LoadedPlugin &plugin) {
  const auto &format = *static_cast<const calm_format *>(plugin.provides.at(0).vtable);
  calm_stream empty{};
  empty.size = sizeof empty;
  calm_reader *reader = nullptr;
  calm_error error{};
  if (format.open(&empty, nullptr, &reader, &error) == CALM_OK) {
    format.close(reader);
  }
}

enum class Fate { kRefused, kNotLoaded, kLoaded };

class Damage : public testing::Test {
 protected:
  // A signal, or an exit that nobody asked for, fails the test.
  Fate fate(const std::string &bytes, const std::string &what) {
    calm::PluginNote note;
    try {
      note = read_note(bytes);
    } catch (const calm::Error &e) {
      EXPECT_STRNE(e.what(), "") << what;
      EXPECT_NE(e.status(), CALM_INTERNAL) << what;
      return Fate::kRefused;
    }
    const std::string path = folder_.write("damaged" + std::to_string(++files_) + ".so", bytes);
    const pid_t child = ::fork();
    if (child == 0) {
      int code = 40;
      try {
        std::vector<std::string> warnings;
        use(calm::load_plugin(path, note, &warnings));
      } catch (const calm::Error &e) {
        code = e.what()[0] != '\0' ? 41 : 42;
      }
      ::_exit(code);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    std::filesystem::remove(path);
    EXPECT_TRUE(WIFEXITED(status)) << what << ": signal " << WTERMSIG(status);
    EXPECT_TRUE(!WIFEXITED(status) || WEXITSTATUS(status) == 40 || WEXITSTATUS(status) == 41)
        << what << ": exit " << WEXITSTATUS(status);
    return status == 0x2800 ? Fate::kLoaded : Fate::kNotLoaded;
  }

  // Every byte of [from, to) changed in a few ways.
  void flip(std::size_t from, std::size_t to) {
    std::mt19937 random(1);
    for (std::size_t at = from; at < to; ++at) {
      const auto other = static_cast<unsigned>(1 + random() % 255);
      for (const unsigned flip : {1U << at % 8, other}) {
        std::string bytes = real_plugin();
        bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ flip);
        fate(bytes, "byte " + std::to_string(at) + " ^ " + std::to_string(flip));
        if (HasFailure()) {
          return;
        }
      }
    }
  }

  const TempFolder folder_;
  int files_ = 0;
};

Elf64_Ehdr header() {
  Elf64_Ehdr header;
  std::memcpy(&header, real_plugin().data(), sizeof header);
  return header;
}

Elf64_Phdr segment(std::uint32_t type) {
  const Elf64_Ehdr elf = header();
  for (std::size_t i = 0; i < elf.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, real_plugin().data() + elf.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_type == type) {
      return segment;
    }
  }
  return {};
}

TEST_F(Damage, AnUndamagedCopyLoadsAndWorks) {
  EXPECT_EQ(fate(real_plugin(), "undamaged"), Fate::kLoaded);
}

TEST_F(Damage, TruncatedAtEvery64thByteItIsRefused) {
  for (std::size_t size = 0; size < real_plugin().size(); size += 64) {
    ASSERT_EQ(fate(real_plugin().substr(0, size), "truncated"), Fate::kRefused) << size;
  }
}

TEST_F(Damage, WithoutSectionHeadersATruncatedCopyIsStillRefused) {
  std::string bytes = real_plugin();
  Elf64_Ehdr elf = header();
  elf.e_shoff = 0;
  elf.e_shnum = elf.e_shstrndx = 0;
  std::memcpy(bytes.data(), &elf, sizeof elf);
  EXPECT_EQ(fate(bytes, "no section headers"), Fate::kLoaded);
  const Elf64_Phdr dynamic = segment(PT_DYNAMIC);
  for (std::size_t size = 0; size < dynamic.p_offset + dynamic.p_filesz; size += 64) {
    ASSERT_EQ(fate(bytes.substr(0, size), "truncated"), Fate::kRefused) << size;
  }
}

TEST_F(Damage, AHoleWhereACopyWasNotFinishedIsRefusedOrHarmless) {
  // A file system that made the file long at once leaves zeros where the data never came.
  for (std::size_t at = 0; at < real_plugin().size(); at += 4096) {
    const Elf64_Phdr code = segment(PT_LOAD);
    std::string bytes = real_plugin();
    const std::size_t end = std::min(bytes.size(), at + 4096);
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(at),
              bytes.begin() + static_cast<std::ptrdiff_t>(end), '\0');
    // Code and constants are beyond what can be judged: only what the linker reads is looked at.
    const Elf64_Phdr dynamic = segment(PT_DYNAMIC);
    const bool read_by_linker =
        at < code.p_filesz || (at < dynamic.p_offset + dynamic.p_filesz && end > dynamic.p_offset);
    if (read_by_linker) {
      EXPECT_EQ(fate(bytes, "hole"), Fate::kRefused) << at;
    }
  }
}

TEST_F(Damage, AChangedByteOfTheHeadersIsNeverASignal) {
  flip(0, header().e_phoff + header().e_phnum * sizeof(Elf64_Phdr));
}

TEST_F(Damage, AChangedByteOfTheDynamicSectionIsNeverASignal) {
  const Elf64_Phdr dynamic = segment(PT_DYNAMIC);
  flip(dynamic.p_offset, dynamic.p_offset + dynamic.p_filesz);
}

TEST_F(Damage, AChangedByteOfTheSectionHeadersIsRefusedOrChangesNothing) {
  // The linker that loads a library never looks at them.
  const calm::PluginNote whole = read_note(real_plugin());
  const std::size_t start = header().e_shoff;
  for (std::size_t at = start; at < start + header().e_shnum * sizeof(Elf64_Shdr); at += 3) {
    std::string bytes = real_plugin();
    bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ 0xffU);
    try {
      EXPECT_EQ(read_note(bytes), whole) << at;
    } catch (const calm::Error &e) {
      EXPECT_NE(e.status(), CALM_INTERNAL) << at << ": " << e.what();
    }
  }
}

}  // namespace
