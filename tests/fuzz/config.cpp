#include <calm/cpp/error.hpp>

#include "core/train/config_file.hpp"
#include "tests/fuzz/harness.hpp"

// The text as a configuration file, and as one setting of the command line.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view text = calm::fuzz::text_of(data, size);
  calm::fuzz::accepts(CALM_INVALID_ARGUMENT, [&] {
    for (const calm::train::Setting &s : calm::train::parse_settings(text, "f")) {
      calm::fuzz::expect(s.value.type != CALM_VALUE_NONE, "a setting without a value");
      calm::fuzz::expect(s.origin.starts_with("f:"), "a setting without a line", s.origin);
    }
  });
  calm::fuzz::accepts(CALM_INVALID_ARGUMENT, [&] { calm::train::parse_setting(text, "--set"); });
  return 0;
}
