#include "core/data/pairs.hpp"
#include "tests/fuzz/harness.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  using calm::fuzz::expect;
  constexpr std::size_t kLMax = 24;
  calm::fuzz::accepts(CALM_CORRUPT_DATA, [&] {
    const auto file = calm::data::parse_pairs(calm::fuzz::text_of(data, size), "f");
    for (const calm::data::TextPair &pair : file.pairs) {
      expect(pair.query.size() >= calm::data::kShortestQuery, "a query that is too short");
      expect(pair.passage.size() >= calm::data::kShortestPassage, "a passage that is too short");
      expect(pair.query.find_first_of("\r\n") == std::string::npos, "a query of two lines");
      expect(pair.passage.find('\r') == std::string::npos, "a carriage return");
      for (const std::string &text : {pair.query, pair.passage}) {
        const auto ids = calm::data::encode_pair_text(text, kLMax);
        expect(ids.size() == std::min(text.size() + 2, kLMax), "tokens of another length");
        expect(ids.front() == calm::text::kBos && ids.back() == calm::text::kEos, "no frame");
      }
    }
  });
  return 0;
}
