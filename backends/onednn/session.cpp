#include "onednn/session.hpp"

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <memory>
#include <string>
#include <string_view>

#include "reference/device.hpp"

namespace calm::onednn {
namespace {

Level level_of(std::string_view name) {
  for (const Level level : {Level::kBase, Level::kAvx2, Level::kAvx512}) {
    if (name == reference::level_name(level)) {
      if (level > best_level()) {
        throw Error(CALM_INVALID_ARGUMENT, "option simd: this processor has no " +
                                               std::string(name) + ", expected at most " +
                                               reference::level_name(best_level()));
      }
      return level;
    }
  }
  throw Error(CALM_INVALID_ARGUMENT,
              "option simd: expected avx512, avx2 or base, found \"" + std::string(name) + "\"");
}

WeightType weights_of(std::string_view name) {
  if (name == "fp32") {
    return WeightType::kF32;
  }
  if (name == "bf16") {
    return WeightType::kBf16;
  }
  if (name == "int8") {
    return WeightType::kInt8;
  }
  throw Error(CALM_INVALID_ARGUMENT,
              "option weights: expected fp32, bf16 or int8, found \"" + std::string(name) + "\"");
}

/// `value` is one of two words.
bool is_second(const std::string &name, std::string_view value, std::string_view first,
               std::string_view second) {
  if (value != first && value != second) {
    throw Error(CALM_INVALID_ARGUMENT, "option " + name + ": expected " + std::string(first) +
                                           " or " + std::string(second) + ", found \"" +
                                           std::string(value) + "\"");
  }
  return value == second;
}

}  // namespace

Level best_level() {
  // Kernels of AVX2 use its companion FMA too.
#if defined(__x86_64__)
  if (__builtin_cpu_supports("fma") == 0) {
    return Level::kBase;
  }
#endif
  return reference::best_level();
}

Session *open_session(std::uint32_t device, calm_table options, const calm_host *host) {
  if (device >= reference::kDevices) {
    throw Error(CALM_NOT_FOUND, "expected device 0, found " + std::to_string(device));
  }
  if (host == nullptr || host->size < sizeof(calm_host)) {
    throw Error(CALM_INVALID_ARGUMENT, "expected a host table of this ABI, found none");
  }
  Level level = best_level();
  WeightType weights = WeightType::kF32;
  bool onednn = false;
  bool bf16 = false;
  for (std::uint32_t i = 0; i < options.count; ++i) {
    const auto &option = record<calm_value>(options, i);
    const std::string name = copy(option.name);
    const bool known =
        name == "simd" || name == "weights" || name == "products" || name == "precision";
    if (known && option.type != CALM_VALUE_STR) {
      throw Error(CALM_INVALID_ARGUMENT, "option " + name + ": expected a word");
    }
    if (name == "simd") {
      level = level_of(view(option.str));
    } else if (name == "weights") {
      weights = weights_of(view(option.str));
    } else if (name == "products") {
      onednn = is_second(name, view(option.str), "own", "onednn");
    } else if (name == "precision") {
      bf16 = is_second(name, view(option.str), "fp32", "bf16");
    } else {
      throw Error(CALM_INVALID_ARGUMENT, "the onednn backend has no option \"" + name +
                                             "\", expected simd, weights, products or precision");
    }
  }
  // bf16 is oneDNN's alone.
  return new Session(*host, level, weights,
                     onednn || bf16 ? std::make_unique<Products>(bf16) : nullptr);
}

}  // namespace calm::onednn
