#include "core/text/inline_pattern.hpp"
#include "tests/fuzz/harness.hpp"

// Whatever is accepted must give the same tokens again when each is written as a number.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view text = calm::fuzz::text_of(data, size);
  calm::fuzz::accepts(CALM_INVALID_ARGUMENT, [&] {
    const std::vector<calm::text::Token> ids = calm::text::parse_inline(text);
    std::string numbers;
    for (const calm::text::Token id : ids) {
      calm::fuzz::expect(id >= 0 && id < calm::text::kVocabSize, "a token out of range");
      numbers += "<:" + std::to_string(id) + ":>";
    }
    calm::fuzz::expect(calm::text::parse_inline(numbers) == ids, "numbers give other tokens");
    if (text.find('<') == std::string_view::npos) {
      calm::fuzz::expect(calm::text::encode(text) == ids, "text without patterns changed");
    }
  });
  return 0;
}
