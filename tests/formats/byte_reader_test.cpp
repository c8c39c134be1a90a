#include <gtest/gtest.h>

#include <array>
#include <calm/cpp/byte_reader.hpp>
#include <calm/cpp/byte_writer.hpp>

namespace calm {
namespace {

template <class Body>
std::string message_of(Body &&body) {
  try {
    body();
  } catch (const Error &e) {
    return e.what();
  }
  return "no error";
}

TEST(ByteReader, ReadsLittleEndianNumbersFromFrontToBack) {
  ByteWriter out;
  out.u8(0x01, "a");
  out.u16(0x0302, "b");
  out.u32(0x07060504, "c");
  out.u64(0x0f0e0d0c0b0a0908, "d");
  out.zeros(2);
  out.text("xy");
  ASSERT_EQ(out.bytes().size(), 19u);
  for (std::size_t i = 0; i < 15; ++i) {
    EXPECT_EQ(out.bytes()[i], static_cast<std::byte>(i + 1));
  }
  ByteReader in(out.bytes(), 100);
  EXPECT_EQ(in.u8("a"), 0x01);
  EXPECT_EQ(in.u16("b"), 0x0302);
  EXPECT_EQ(in.u32("c"), 0x07060504u);
  EXPECT_EQ(in.u64("d"), 0x0f0e0d0c0b0a0908u);
  EXPECT_EQ(in.offset(), 115u);
  in.skip(2, "padding");
  EXPECT_EQ(in.bytes(2, "text")[1], std::byte{'y'});
  EXPECT_EQ(in.remaining(), 0u);
}

TEST(ByteReader, TheEndIsAnErrorWithOffsetAndName) {
  const std::array<std::byte, 3> three{};
  for (const std::size_t used : {0u, 1u, 2u, 3u}) {
    ByteReader in(three, 10);
    in.skip(used, "start");
    const auto expected = [&](const std::string &what) {
      std::string text = "offset " + std::to_string(10 + used);
      text.append(": expected ").append(what).append(" bytes, found ");
      return text.append(std::to_string(3 - used));
    };
    EXPECT_EQ(message_of([&] { in.u32("count"); }), expected("count of 4"));
    EXPECT_EQ(message_of([&] { in.u64("count"); }), expected("count of 8"));
    EXPECT_EQ(message_of([&] { in.skip(~std::size_t{0}, "rest"); }),
              expected("rest of 18446744073709551615"));
    EXPECT_EQ(in.remaining(), 3 - used);
  }
}

TEST(ByteReader, SizesThatOverflowAreErrors) {
  constexpr std::uint64_t kMax = ~std::uint64_t{0};
  EXPECT_EQ(checked_add(kMax - 1, 1), kMax);
  EXPECT_EQ(checked_mul(kMax / 3, 3), kMax);
  EXPECT_EQ(message_of([] { checked_add(kMax, 1, 7); }),
            "offset 7: expected a size of 64 bits, found 18446744073709551615 + 1");
  EXPECT_EQ(message_of([] { checked_mul(kMax / 2 + 1, 2, 7); }),
            "offset 7: expected a size of 64 bits, found 9223372036854775808 * 2");
}

TEST(ByteWriter, AValueThatDoesNotFitIsNamed) {
  ByteWriter out;
  EXPECT_EQ(message_of([&] { out.u8(256, "dt_rank"); }), "dt_rank: expected 0 to 255, found 256");
  EXPECT_EQ(message_of([&] { out.u16(65536, "d_model"); }),
            "d_model: expected 0 to 65535, found 65536");
  EXPECT_EQ(message_of([&] { out.u32(std::uint64_t{1} << 32, "count"); }),
            "count: expected 0 to 4294967295, found 4294967296");
  EXPECT_TRUE(out.bytes().empty());
  out.u64(~std::uint64_t{0}, "all");
  EXPECT_EQ(out.bytes().size(), 8u);
}

}  // namespace
}  // namespace calm
