#include <common/gunzip.hpp>

#include <algorithm>
#include <cstring>

#include "tests/fuzz/harness.hpp"

// The bytes as a gzip file, read in pieces; however they are cut, the outcome is the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  constexpr std::uint64_t kLimit = 1 << 20;
  std::string texts[2];
  bool accepted[2] = {};
  for (std::size_t i = 0; i < 2; ++i) {
    const std::size_t most = i == 0 ? size : 7;
    std::size_t at = 0;
    const auto source = [&](char *dst, std::size_t capacity) {
      const std::size_t n = std::min({most, capacity, size - at});
      if (n != 0) {
        std::memcpy(dst, data + at, n);
      }
      at += n;
      return n;
    };
    accepted[i] = calm::fuzz::accepts(CALM_CORRUPT_DATA, [&] {
      texts[i] = calm::sources::inflate_gzip(source, "f", kLimit);
      calm::fuzz::expect(texts[i].size() <= kLimit, "more than the limit");
    });
  }
  calm::fuzz::expect(accepted[0] == accepted[1] && texts[0] == texts[1],
                     "smaller pieces give another text");
  return 0;
}
