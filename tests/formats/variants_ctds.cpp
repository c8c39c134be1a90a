#include "variants.hpp"

namespace calm::formats_test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kHeader = 14;

struct Sequence {
  std::uint16_t position;
  std::vector<std::uint16_t> tokens;
};

Edit sequences(const std::vector<Sequence> &all) {
  return [=](Bytes &file) {
    std::vector<std::uint16_t> numbers;
    std::size_t longest = 0;
    for (const Sequence &s : all) {
      numbers.push_back(static_cast<std::uint16_t>(s.tokens.size()));
      longest = std::max(longest, s.tokens.size());
    }
    for (const Sequence &s : all) {
      numbers.push_back(s.position);
    }
    for (const Sequence &s : all) {
      numbers.insert(numbers.end(), s.tokens.begin(), s.tokens.end());
    }
    file.assign(kHeader + 2 * numbers.size(), std::byte{});
    text_at(0, "CTDS")(file);
    u32(8, static_cast<std::uint32_t>(all.size()))(file);
    u16(12, static_cast<std::uint16_t>(longest))(file);
    if (!numbers.empty()) {
      std::memcpy(file.data() + kHeader, numbers.data(), 2 * numbers.size());
    }
  };
}

// Two sequences of 4 and 3 tokens: lengths at 14, positions at 18, tokens at 22, 36 bytes in all.
Bytes valid() {
  Bytes file;
  sequences({{1, {257, 259, 65, 258}}, {0, {257, 66, 258}}})(file);
  return file;
}

// The file with `count` in the header and that many lengths of `length`, positions 0, and `tokens`
// tokens of 0.
Edit claims(std::uint32_t count, std::uint16_t length, std::size_t entries, std::size_t tokens) {
  return [=](Bytes &file) {
    file.resize(kHeader);
    u32(8, count)(file);
    u16(12, length)(file);
    file.resize(kHeader + 4 * entries + 2 * tokens);
    for (std::size_t i = 0; i < entries; ++i) {
      u16(kHeader + 2 * i, length)(file);
    }
  };
}

std::vector<Row> rows() {
  const calm_status ok = CALM_OK, bad = CALM_CORRUPT_DATA;
  const auto many = [](std::size_t n, std::uint16_t token) {
    return std::vector<std::uint16_t>(n, token);
  };
  return {
      {"as it is", first(36), ok, ""},
      // shorter than a header, or than what the header says
      {"empty", first(0), bad, "offset 0: expected a header of 14 bytes"},
      {"1 byte", first(1), bad, "offset 1: expected a header of 14 bytes"},
      {"magic alone", first(4), bad, "offset 4: expected a header of 14 bytes"},
      {"cut before count", first(8), bad, "offset 8: expected a header of 14 bytes"},
      {"13 bytes", first(13), bad, "offset 13: expected a header of 14 bytes"},
      {"header alone", first(14), bad, "offset 8: expected lengths and positions within 14 bytes"},
      {"cut in the lengths", first(17), bad, "offset 8: expected lengths and positions"},
      {"no positions", first(18), bad, "offset 8: expected lengths and positions"},
      {"cut in the positions", first(21), bad, "offset 8: expected lengths and positions"},
      {"no tokens", first(22), bad, "offset 22: expected a file of 36 bytes, found 22"},
      {"cut in a token", first(23), bad, "expected a file of 36 bytes, found 23"},
      {"tokens of the first sequence", first(30), bad, "expected a file of 36 bytes"},
      {"one token short", without_last(2), bad, "expected a file of 36 bytes, found 34"},
      {"one byte short", without_last(1), bad, "expected a file of 36 bytes, found 35"},
      // longer
      {"one byte more", with_more(1), bad, "offset 36: expected a file of 36 bytes, found 37"},
      {"one token more", with_more(2), bad, "expected a file of 36 bytes"},
      {"a page more", with_more(4096), bad, "expected a file of 36 bytes"},
      {"a megabyte more", with_more(1 << 20), bad, "expected a file of 36 bytes"},
      {"the file twice", twice(), bad, "expected a file of 36 bytes"},
      // magic
      {"magic in small letters", text_at(0, "ctds"), bad, "offset 0: expected the magic CTDS"},
      {"magic CTDT", text_at(0, "CTDT"), bad, "magic"},
      {"magic of CWGT", text_at(0, "CWGT"), bad, "magic"},
      {"magic backwards", text_at(0, "SDTC"), bad, "magic"},
      {"magic of zeros", u32(0, 0), bad, "magic"},
      {"a byte before the magic", replace(0, 0, "\n"), bad, "magic"},
      // vocab_version is nobody's business
      {"vocab_version 1", u32(4, 1), ok, ""},
      {"vocab_version 2^32 - 1", u32(4, ~0u), ok, ""},
      // count
      {"count 0", u32(8, 0), bad, "offset 14: expected a file of 14 bytes, found 36"},
      {"count 1", u32(8, 1), bad, "expected a file of 26 bytes, found 36"},
      {"count 3", u32(8, 3), bad, "expected a"},
      {"count 5", u32(8, 5), bad, "expected a"},
      {"count 6", u32(8, 6), bad, "offset 8: expected lengths and positions within 36 bytes"},
      {"count 65536 more", u32(8, 65538), bad, "found 65538 sequences"},
      {"count 2^30 more", u32(8, (1u << 30) + 2), bad, "found 1073741826 sequences"},
      {"count 2^31 more", u32(8, (1u << 31) + 2), bad, "found 2147483650 sequences"},
      {"count 2^32 - 1", u32(8, ~0u), bad, "found 4294967295 sequences"},
      {"count big-endian", u32(8, 2u << 24), bad, "sequences"},
      {"no sequence at all", sequences({}), ok, ""},
      {"no sequence, a byte more", both(sequences({}), with_more(1)), bad, "a file of 14 bytes"},
      // max_len
      {"max_len 0", u16(12, 0), ok, ""},
      {"max_len 1 less", u16(12, 3), ok, ""},
      {"max_len 1 more", u16(12, 5), ok, ""},
      {"max_len 65535", u16(12, 65535), ok, ""},
      // lengths
      {"first length 0", u16(14, 0), bad,
       "offset 14: expected a length of at least 1 for sequence 0"},
      {"second length 0", u16(16, 0), bad,
       "offset 16: expected a length of at least 1 for sequence 1"},
      {"both lengths 0", u32(14, 0), bad, "offset 14: expected a length"},
      {"length 0 where it adds up", both(u16(14, 7), u16(16, 0)), bad, "for sequence 1, found 0"},
      {"a length 1 less", u16(14, 3), bad, "expected a file of 34 bytes"},
      {"a length 1 more", u16(14, 5), bad, "expected a file of 38 bytes"},
      {"a length of 65535", u16(14, 65535), bad, "expected a file of"},
      {"both lengths 65535", u32(14, ~0u), bad, "expected a file of"},
      {"a length big-endian", u16(14, 0x0400), bad, "expected a file of"},
      {"lengths changed about", both(u16(14, 3), u16(16, 4)), ok, ""},
      {"lengths that add up otherwise", both(u16(14, 6), u16(16, 1)), ok, ""},
      {"sum of lengths 2^16 more", claims(3, 21847, 3, 5), bad, "expected a file of"},
      {"lengths of a page in a small file", claims(100, 4096, 100, 9), bad, "expected a file of"},
      // positions
      {"position at the last token", u16(18, 3), ok, ""},
      {"position at the length", u16(18, 4), bad, "offset 18: expected cmd_pos below the length 4"},
      {"position behind the length", u16(18, 5), bad, "cmd_pos below the length 4 of sequence 0"},
      {"second position at the length", u16(20, 3), bad,
       "offset 20: expected cmd_pos below the length 3"},
      {"second position within the first", u16(20, 3), bad, "of sequence 1, found 3"},
      {"position 32768", u16(18, 32768), bad, "cmd_pos"},
      {"position 65535", u16(18, 65535), bad, "cmd_pos"},
      {"second position 65535", u16(20, 65535), bad, "cmd_pos"},
      // tokens
      {"token 0", u16(24, 0), ok, ""},
      {"token 278", u16(24, 278), ok, ""},
      {"token 319", u16(24, 319), ok, ""},
      {"first token 320", u16(22, 320), bad, "offset 22: expected a token below 320, found 320"},
      {"a token 320", u16(26, 320), bad, "offset 26: expected a token below 320"},
      {"last token 320", u16(34, 320), bad, "offset 34: expected a token below 320"},
      {"a token 321", u16(26, 321), bad, "token below 320, found 321"},
      {"a token 512", u16(26, 512), bad, "token below 320"},
      {"a token 32768", u16(26, 32768), bad, "token below 320"},
      {"a token 65535", u16(26, 65535), bad, "token below 320, found 65535"},
      {"a token 319 big-endian", u16(26, 0x3f01), bad, "token below 320"},
      {"all tokens PAD", sequences({{0, many(4, 256)}}), ok, ""},
      // sizes
      {"one token", sequences({{0, {257}}}), ok, ""},
      {"the longest sequence", sequences({{65534, many(65535, 65)}}), ok, ""},
      {"the longest sequence, a bad end",
       both(sequences({{0, many(65535, 65)}}), u16(18 + 2 * 65534, 320)), bad,
       "offset 131086: expected a token below 320"},
      {"70000 sequences", claims(70000, 1, 70000, 70000), ok, ""},
      {"70000 sequences, a bad length",
       both(claims(70000, 1, 70000, 70000), u16(14 + 2 * 69999, 0)), bad,
       "for sequence 69999, found 0"},
      {"70000 sequences, a bad position", both(claims(70000, 1, 70000, 70000), u16(280012, 1)), bad,
       "of sequence 69999, found 1"},
      // something else
      {"zeros", whole(std::string(100, '\0')), bad, "magic"},
      {"ones", whole(std::string(100, '\xff')), bad, "magic"},
      {"a text", whole("<WORD>cat<ATN>\n<DEF>A small animal.\n"), bad, "magic"},
      {"magic and zeros", whole("CTDS" + std::string(96, '\0')), bad, "a file of 14 bytes"},
      {"magic and ones", whole("CTDS" + std::string(96, '\xff')), bad, "lengths and positions"},
      {"magic and letters", whole("CTDS" + std::string(96, 'A')), bad, "lengths and positions"},
  };
}

}  // namespace

std::vector<Variant> ctds_variants() { return make_variants(rows(), valid()); }

}  // namespace calm::formats_test
