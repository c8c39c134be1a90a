#include "utf8_repair.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace calm::sources {
namespace {

constexpr char32_t kReplacement = 0xfffd;

std::uint8_t byte_at(std::string_view s, std::size_t i) { return static_cast<std::uint8_t>(s[i]); }

void append(std::string &out, char32_t c) {
  const auto put = [&](char32_t bits) {
    out += static_cast<char>(static_cast<std::uint8_t>(bits));
  };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | (c >> 6));
    put(0x80 | (c & 0x3f));
  } else {
    put(0xe0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

struct Sequence {
  std::size_t bytes;  // whole sequence, or its maximal invalid subpart
  bool valid;
};

// Table 3-7 of the Unicode standard: well-formed byte sequences. `s` starts at a byte >= 0x80.
Sequence decode(std::string_view s) {
  const std::uint8_t lead = byte_at(s, 0);
  std::size_t length = 0;
  std::uint8_t low = 0x80;
  std::uint8_t high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    low = lead == 0xe0 ? 0xa0 : 0x80;
    high = lead == 0xed ? 0x9f : 0xbf;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    low = lead == 0xf0 ? 0x90 : 0x80;
    high = lead == 0xf4 ? 0x8f : 0xbf;
  } else {
    return {1, false};
  }
  for (std::size_t i = 1; i < length; ++i) {
    if (i == s.size() || byte_at(s, i) < low || byte_at(s, i) > high) {
      return {i, false};
    }
    low = 0x80;
    high = 0xbf;
  }
  return {length, true};
}

bool is_letter(std::uint8_t b) { return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z'); }
bool is_latin1_letter(std::uint8_t b) { return b >= 0xc0 && b != 0xd7 && b != 0xf7; }

// Windows-1252, 0x80 to 0x9f; 0 = not assigned.
constexpr std::array<char16_t, 32> kWindows1252 = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178};

// What a byte that stands alone between ASCII neighbours most likely meant.
char32_t lone_byte(std::uint8_t b, bool beside_letter) {
  if (is_latin1_letter(b)) {
    return beside_letter ? b : kReplacement;
  }
  if (b < 0xa0) {
    const char16_t c = kWindows1252[b - 0x80u];
    return c != 0 ? c : kReplacement;
  }
  constexpr std::string_view kSigns =
      "\xa0\xa3\xa7\xa9\xab\xae\xb0\xb1\xb7\xbb\xbc\xbd\xbe\xd7\xf7";
  return kSigns.find(static_cast<char>(b)) != std::string_view::npos ? b : kReplacement;
}

// The invalid run that starts at `at`: bytes up to the next ASCII or well-formed character.
std::size_t invalid_run(std::string_view s, std::size_t at) {
  std::size_t end = at;
  while (end < s.size() && byte_at(s, end) >= 0x80) {
    const Sequence next = decode(s.substr(end));
    if (next.valid) {
      break;
    }
    end += next.bytes;
  }
  return end - at;
}

void append_repaired(std::string &out, std::string_view s, std::size_t at, std::size_t length) {
  const bool letter_before = at > 0 && is_letter(byte_at(s, at - 1));
  const bool letter_after = at + length < s.size() && is_letter(byte_at(s, at + length));
  if (length == 1) {
    append(out, lone_byte(byte_at(s, at), letter_before || letter_after));
    return;
  }
  bool word = letter_before || letter_after;
  for (std::size_t i = at; i < at + length; ++i) {
    word = word && is_latin1_letter(byte_at(s, i));
  }
  for (std::size_t i = at; i < at + length;) {
    if (word) {
      append(out, byte_at(s, i));
      ++i;
    } else {
      append(out, kReplacement);
      i += decode(s.substr(i)).bytes;
    }
  }
}

}  // namespace

std::string repair_utf8(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (std::size_t i = 0; i < s.size();) {
    if (byte_at(s, i) < 0x80) {
      out += s[i];
      ++i;
      continue;
    }
    const Sequence next = decode(s.substr(i));
    if (next.valid) {
      out.append(s, i, next.bytes);
      i += next.bytes;
      continue;
    }
    const std::size_t length = invalid_run(s, i);
    append_repaired(out, s, i, length);
    i += length;
  }
  return out;
}

}  // namespace calm::sources
