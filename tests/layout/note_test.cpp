// What a plugin's note says, before it runs, is what the plugin itself says.
#include <gtest/gtest.h>

#include <calm/plugin.h>

#include <dlfcn.h>
#include <link.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include <algorithm>
#include <cstring>
#include <sstream>

#include "tests/layout/tree.hpp"

namespace calm::layout {
namespace {

unsigned floating_point_mode() {
#if defined(__SSE__)
  return _mm_getcsr() & 0xffc0u;  // control bits; the lower six are sticky exception flags
#else
  return 0;
#endif
}

// The descriptor of the note "calm" type 1 among the segments of one loaded object.
struct NoteSearch {
  std::string path;
  std::string descriptor;
};

const std::string kOwner("calm\0", 5);

int look_for_note(dl_phdr_info *info, std::size_t, void *data) {
  NoteSearch &search = *static_cast<NoteSearch *>(data);
  std::error_code ignored;
  if (!fs::equivalent(info->dlpi_name, search.path, ignored)) return 0;
  for (unsigned i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr) &segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE || segment.p_align > 4) continue;
    const std::string notes(reinterpret_cast<const char *>(info->dlpi_addr + segment.p_vaddr),
                            segment.p_memsz);
    for (std::size_t at = 0; at + sizeof(ElfW(Nhdr)) <= notes.size();) {
      ElfW(Nhdr) header;
      std::memcpy(&header, notes.data() + at, sizeof header);
      const std::size_t name = at + sizeof header;
      const std::size_t body = name + (header.n_namesz + 3u) / 4u * 4u;
      if (header.n_type == 1 && notes.compare(name, header.n_namesz, kOwner) == 0) {
        search.descriptor = notes.substr(body, header.n_descsz);
      }
      at = body + (header.n_descsz + 3u) / 4u * 4u;
    }
  }
  return 1;
}

std::string text(calm_str view) { return view.len == 0 ? "" : std::string(view.data, view.len); }

std::string facts_of(const calm_plugin &plugin) {
  static const char *const kKinds[] = {"?",         "operator", "backend", "format",
                                       "tokenizer", "model",    "trainer", "domain"};
  std::vector<std::string> lines;
  for (uint32_t i = 0; i < plugin.provides.count; ++i) {
    const auto *base = static_cast<const char *>(plugin.provides.base);
    const auto &provided =
        *reinterpret_cast<const calm_provided *>(base + std::size_t{i} * plugin.provides.stride);
    lines.push_back(std::string(kKinds[provided.kind < 8 ? provided.kind : 0]) + ":" +
                    text(provided.id) + "/" + std::to_string(provided.revision));
  }
  std::sort(lines.begin(), lines.end());
  std::string facts = text(plugin.id) + "\n";
  for (const std::string &line : lines) facts += line + "\n";
  return facts;
}

std::string facts_of(const std::string &descriptor) {
  uint32_t count = 0;
  std::memcpy(&count, descriptor.data() + 4, sizeof count);
  std::istringstream in(descriptor.substr(8));
  std::string id;
  std::getline(in, id);
  std::vector<std::string> lines(count);
  for (std::string &line : lines) std::getline(in, line);
  std::sort(lines.begin(), lines.end());
  std::string facts = id + "\n";
  for (const std::string &line : lines) facts += line + "\n";
  return facts;
}

TEST(Notes, EachAgreesWithTheAnswerOfItsPlugin) {
  for (const auto &entry : fs::directory_iterator(CALM_TEST_PLUGINS)) {
    if (entry.path().extension() != ".so") continue;
    const std::string path = entry.path().string();
    const unsigned mode = floating_point_mode();
    void *library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << ::dlerror();
    EXPECT_EQ(floating_point_mode(), mode) << path << " changes the floating-point mode";
    const auto query =
        reinterpret_cast<calm_plugin_query_fn>(::dlsym(library, "calm_plugin_query"));
    ASSERT_NE(query, nullptr) << path;
    const calm_plugin *plugin = query(CALM_ABI_CURRENT, CALM_ABI_CURRENT, nullptr);
    ASSERT_NE(plugin, nullptr) << path;
    NoteSearch search{path, ""};
    ::dl_iterate_phdr(look_for_note, &search);
    ASSERT_GE(search.descriptor.size(), 8u) << path << " has no note";
    uint32_t abi = 0;
    std::memcpy(&abi, search.descriptor.data(), sizeof abi);
    EXPECT_EQ(abi, plugin->build.abi) << path;
    EXPECT_EQ(facts_of(search.descriptor), facts_of(*plugin)) << path;
  }
}

}  // namespace
}  // namespace calm::layout
