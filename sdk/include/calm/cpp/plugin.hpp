#pragma once

#include <calm/plugin.h>

#include <cstddef>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

namespace calm {

/// The build stamp of the plugin being compiled.
constexpr calm_build build_stamp() {
  calm_build build{};
  build.abi = CALM_ABI_CURRENT;
#ifndef NDEBUG
  build.debug = 1;
#endif
#if defined(__clang__)
  build.compiler = literal("clang " __clang_version__);
#else
  build.compiler = literal("gcc " __VERSION__);
#endif
  return build;
}

/// The descriptor of a plugin built with calm_plugin(): `id` and `version` are its CALM_PLUGIN_ID
/// and CALM_PLUGIN_VERSION. `provides` and all texts have static storage.
template <std::size_t N>
constexpr calm_plugin describe_plugin(calm_str id, calm_str version, calm_str vendor,
                                      calm_str license, calm_str doc,
                                      const calm_provided (&provides)[N]) {
  return {sizeof(calm_plugin),
          0,
          build_stamp(),
          id,
          version,
          vendor,
          license,
          doc,
          {provides, N, sizeof provides[0]}};
}

/// Answers calm_plugin_query: the descriptor when the host's range reaches our ABI major. Minors
/// never part a host and a plugin: fields are only appended.
inline const calm_plugin *answer_query(const calm_plugin &plugin, std::uint32_t abi_min,
                                       std::uint32_t abi_max, calm_error *error) noexcept {
  if ((abi_min >> 16) > CALM_ABI_MAJOR || (abi_max >> 16) < CALM_ABI_MAJOR) {
    fail(error, CALM_VERSION, "this plugin speaks another ABI: rebuild it with the host's SDK");
    return nullptr;
  }
  return &plugin;
}

}  // namespace calm
