#include <calm/cpp/error.hpp>

#include "core/train/config_yaml.hpp"
#include "tests/fuzz/harness.hpp"

// The text as a configuration file in YAML.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view text = calm::fuzz::text_of(data, size);
  calm::fuzz::accepts(CALM_INVALID_ARGUMENT, [&] {
    for (const calm::train::Setting &s : calm::train::parse_yaml_settings(text, "f")) {
      calm::fuzz::expect(s.value.type != CALM_VALUE_NONE, "a setting without a value");
      calm::fuzz::expect(!s.value.name.empty(), "a setting without a name");
      calm::fuzz::expect(s.origin.starts_with("f:"), "a setting without a line", s.origin);
    }
  });
  return 0;
}
