#include "core/plugin/loader.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include <calm/cpp/error.hpp>

namespace calm {
namespace {

constexpr const char *kEntry = "calm_plugin_query";
constexpr std::uint32_t kMaxProvides = 1024;
constexpr std::uint64_t kMaxText = 4096;

// Rounding, flush-to-zero and trap bits of the unit that computes with floats; not the sticky
// flags.
std::uint64_t float_control() noexcept {
#if defined(__x86_64__)
  return _mm_getcsr() & 0xffc0u;
#else
  std::uint64_t control = 0;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  return control;
#endif
}

void set_float_control(std::uint64_t control) noexcept {
#if defined(__x86_64__)
  _mm_setcsr((_mm_getcsr() & ~0xffc0u) | static_cast<unsigned>(control));
#else
  asm volatile("msr fpcr, %0" ::"r"(control));
#endif
}

// Restores the control word: a library linked with fast-math by an older gcc switches the thread
// that loads it to flush-to-zero, and results would depend on which plugins are installed.
class FloatControlGuard {
 public:
  explicit FloatControlGuard(std::vector<std::string> *warnings)
      : before_(float_control()), warnings_(warnings) {}
  ~FloatControlGuard() {
    const std::uint64_t after = float_control();
    if (after != before_) {
      set_float_control(before_);
      warnings_->push_back(
          fmt::format("loading it changed the floating-point mode from {:#x} to {:#x} (linked with "
                      "fast-math?); restored",
                      before_, after));
    }
  }
  FloatControlGuard(const FloatControlGuard &) = delete;
  FloatControlGuard &operator=(const FloatControlGuard &) = delete;

 private:
  std::uint64_t before_;
  std::vector<std::string> *warnings_;
};

// Handles are held for ever: code of a plugin may still run while the process ends.
boost::dll::shared_library &open_library(const std::string &path) {
  static auto *const libraries = new std::vector<std::unique_ptr<boost::dll::shared_library>>;
  auto library = std::make_unique<boost::dll::shared_library>();
  std::error_code error;
  library->load(std::filesystem::path(path),
                boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local, error);
  if (error) {
    const char *words = ::dlerror();
    throw Error(CALM_FAILED, fmt::format("cannot load: {}",
                                         words != nullptr ? std::string(words) : error.message()));
  }
  libraries->push_back(std::move(library));
  return *libraries->back();
}

const calm_plugin *query(boost::dll::shared_library &library, calm_error *error) {
  if (!library.has(kEntry)) {
    throw Error(CALM_INTERNAL, fmt::format("expected the symbol {}, found none", kEntry));
  }
  auto &entry = library.get<std::remove_pointer_t<calm_plugin_query_fn>>(kEntry);
  try {
    return entry(CALM_ABI(CALM_ABI_MAJOR, 0), CALM_ABI_CURRENT, error);
  } catch (const std::exception &e) {
    throw Error(CALM_INTERNAL, fmt::format("{} threw an exception: {}", kEntry, e.what()));
  } catch (...) {
    throw Error(CALM_INTERNAL, fmt::format("{} threw an exception", kEntry));
  }
}

void check_text(calm_str text, std::string_view name) {
  if (text.len > kMaxText || (text.len > 0 && text.data == nullptr)) {
    throw Error(CALM_INTERNAL,
                fmt::format("descriptor: {}: expected at most {} bytes of text, found {}", name,
                            kMaxText, text.len));
  }
}

calm_plugin copy_descriptor(const calm_plugin &given) {
  constexpr std::size_t kLeast = offsetof(calm_plugin, provides) + sizeof(calm_table);
  if (given.size < kLeast) {
    throw Error(CALM_INTERNAL, fmt::format("descriptor: expected at least {} bytes, found {}",
                                           kLeast, given.size));
  }
  calm_plugin descriptor{};
  std::memcpy(&descriptor, &given, std::min<std::size_t>(given.size, sizeof descriptor));
  descriptor.size = sizeof descriptor;
  check_text(descriptor.id, "id");
  check_text(descriptor.version, "version");
  check_text(descriptor.vendor, "vendor");
  check_text(descriptor.license, "license");
  check_text(descriptor.description, "description");
  check_text(descriptor.build.compiler, "compiler");
  if ((descriptor.flags & CALM_PLUGIN_USES_DRAFT) != 0) {
    throw Error(CALM_VERSION, "uses draft interfaces, which this program does not offer");
  }
  const calm_table &provides = descriptor.provides;
  if (provides.base == nullptr || provides.count == 0 || provides.count > kMaxProvides ||
      provides.stride < sizeof(calm_provided) || provides.stride % alignof(calm_provided) != 0) {
    throw Error(CALM_INTERNAL,
                fmt::format("descriptor: provides: expected 1 to {} records of at least {} bytes, "
                            "found {} of {}",
                            kMaxProvides, sizeof(calm_provided), provides.count, provides.stride));
  }
  return descriptor;
}

std::string entry_text(const NoteEntry &entry) {
  return fmt::format("{}:{}/{}", entry.kind, entry.id, entry.revision);
}

// The note is what was chosen by, so it must be the truth, in both directions.
void compare(const LoadedPlugin &plugin, const PluginNote &note) {
  if (view(plugin.descriptor.id) != note.id) {
    throw Error(CALM_INTERNAL,
                fmt::format("expected the plugin id \"{}\" of its note, found \"{}\"", note.id,
                            view(plugin.descriptor.id)));
  }
  std::vector<NoteEntry> promised;
  for (const NoteEntry &entry : note.provides) {
    if (kind_number(entry.kind) != 0) {
      promised.push_back(entry);
    }
  }
  for (const calm_provided &provided : plugin.provides) {
    const NoteEntry entry{std::string(kind_name(provided.kind)), copy(provided.id),
                          provided.revision};
    const auto at = std::find(promised.begin(), promised.end(), entry);
    if (at == promised.end()) {
      throw Error(CALM_INTERNAL,
                  fmt::format("its descriptor provides {}, its note does not", entry_text(entry)));
    }
    promised.erase(at);
  }
  if (!promised.empty()) {
    throw Error(CALM_INTERNAL, fmt::format("its note provides {}, its descriptor does not",
                                           entry_text(promised.front())));
  }
}

}  // namespace

LoadedPlugin load_plugin(const std::string &path, const PluginNote &note,
                         std::vector<std::string> *warnings) {
  const FloatControlGuard guard(warnings);
  calm_error error{};
  const calm_plugin *given = query(open_library(path), &error);
  if (given == nullptr) {
    check(error.code == CALM_OK ? CALM_VERSION : error.code, error, "the plugin refused this host");
  }
  LoadedPlugin plugin;
  plugin.descriptor = copy_descriptor(*given);
  for (std::uint32_t i = 0; i < plugin.descriptor.provides.count; ++i) {
    const auto &provided = record<calm_provided>(plugin.descriptor.provides, i);
    if (!kind_name(provided.kind).empty()) {
      check_text(provided.id, "provides");
      plugin.provides.push_back(provided);
    }
  }
  compare(plugin, note);
  return plugin;
}

std::string abi_text(std::uint32_t abi) { return fmt::format("{}.{}", abi >> 16, abi & 0xffffu); }

}  // namespace calm
