#include "core/text/printable.hpp"

#include "core/text/utf8.hpp"

#include <gtest/gtest.h>

#include <random>

namespace calm::text {
namespace {

// Written apart from the implementation's table, from the list in the promise.
bool forbidden(char32_t c) {
  const auto within = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
  return (c < 0x20 && c != '\n') || within(0x7F, 0x9F) || c == 0x061C || within(0x200B, 0x200F) ||
         within(0x2028, 0x202E) || within(0x2060, 0x2069) || c == 0xFEFF ||
         within(0xE0000, 0xE007F);
}

bool is_safe(const std::string &text) {
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = next_code_point(text, at);
    if (!point.valid || forbidden(point.value)) return false;
    at += point.size;
  }
  return true;
}

TEST(Printable, OrdinaryTextIsUnchanged) {
  const std::string text = "caf\xC3\xA9 \xE4\xB8\xAD \xF0\x9F\xA6\x8A \\x1b\nnext";
  EXPECT_EQ(printable(text), text);
}

TEST(Printable, ControlsAndStrayBytesAreEscaped) {
  EXPECT_EQ(printable("\x1B[31m\r\x7F"), "\\x1b[31m\\x0d\\x7f");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\xFF\xE2\x82z"), "\\xff\\xe2\\x82z");
  EXPECT_EQ(printable("\x9B"), "\\x9b");
  EXPECT_EQ(printable("\xC2\x9B"), "\\u{9b}");
  EXPECT_EQ(printable("\xE2\x80\xAE\xEF\xBB\xBF\xF3\xA0\x81\x81"), "\\u{202e}\\u{feff}\\u{e0041}");
}

TEST(Printable, TabsBecomeSpacesAndLineFeedsStayUnlessTold) {
  EXPECT_EQ(printable("a\tb\n"), "a    b\n");
  EXPECT_EQ(printable("a\nb", LineFeeds::kEscape), "a\\x0ab");
}

TEST(Printable, EveryCodePointComesOutSafeAndOnlyTheForbiddenChange) {
  for (char32_t value = 0; value <= 0x10FFFF; ++value) {
    if (value >= 0xD800 && value <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, value);
    const std::string out = printable(text);
    ASSERT_TRUE(is_safe(out)) << static_cast<std::uint32_t>(value);
    ASSERT_EQ(out == text, !forbidden(value)) << static_cast<std::uint32_t>(value);
  }
}

TEST(Printable, RandomBytesComeOutSafe) {
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes(random() % 24, '\0');
    for (char &c : bytes) c = static_cast<char>(random());
    ASSERT_TRUE(is_safe(printable(bytes)));
  }
}

}  // namespace
}  // namespace calm::text
