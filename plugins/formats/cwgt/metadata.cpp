#include "metadata.hpp"

#include <array>
#include <cstdint>

#include <calm/cpp/error.hpp>

#include "header.hpp"

namespace calm::cwgt {
namespace {

// The well-formed sequence that `lead` starts: its length, and the range of the second byte
// (Unicode standard, table 3-7). Length 0: no sequence starts so.
struct Sequence {
  std::size_t length;
  unsigned low, high;
};

Sequence sequence_of(unsigned lead) {
  if (lead < 0x80) return {1, 0, 0};
  if (lead < 0xc2 || lead > 0xf4) return {0, 0, 0};
  if (lead < 0xe0) return {2, 0x80, 0xbf};
  if (lead == 0xe0) return {3, 0xa0, 0xbf};
  if (lead == 0xed) return {3, 0x80, 0x9f};
  if (lead < 0xf0) return {3, 0x80, 0xbf};
  if (lead == 0xf0) return {4, 0x90, 0xbf};
  if (lead == 0xf4) return {4, 0x80, 0x8f};
  return {4, 0x80, 0xbf};
}

unsigned byte_at(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

void check_text(std::string_view name, std::string_view text) {
  if (text.find('\n') != std::string_view::npos) {
    throw Error(CALM_INVALID_ARGUMENT,
                std::string(name) + ": expected one line, found a line feed");
  }
  if (replace_invalid_utf8(text) != text) {
    throw Error(CALM_INVALID_ARGUMENT, std::string(name) + ": expected UTF-8, found other bytes");
  }
}

}  // namespace

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const Sequence s = sequence_of(byte_at(text, i));
    unsigned low = s.low, high = s.high;
    std::size_t n = 1;
    while (n < s.length && i + n < text.size() && byte_at(text, i + n) >= low &&
           byte_at(text, i + n) <= high) {
      ++n;
      low = 0x80;
      high = 0xbf;
    }
    if (n == s.length) {
      out.append(text.substr(i, n));
    } else {
      out += "\xef\xbf\xbd";
    }
    i += n;
  }
  return out;
}

Metadata parse_metadata(std::span<const std::byte> blob) {
  const std::string text = replace_invalid_utf8(
      std::string_view(reinterpret_cast<const char *>(blob.data()), blob.size()));
  std::array<std::string, 3> lines;
  std::size_t at = 0;
  for (std::string &line : lines) {
    const std::size_t end = text.find('\n', at);
    line = text.substr(at, end - at);
    if (end == std::string::npos) {
      break;
    }
    at = end + 1;
  }
  return {lines[0], lines[1], lines[2]};
}

std::string pack_metadata(const Metadata &m) {
  check_text("domain", m.domain);
  check_text("template", m.prompt_template);
  check_text("stop_conditions", m.stop_conditions);
  if (m.domain.empty() && m.prompt_template.empty() && m.stop_conditions.empty()) {
    return {};
  }
  std::string blob = m.domain + '\n' + m.prompt_template + '\n' + m.stop_conditions + '\n';
  if (blob.size() > kMaxMetaBytes) {
    throw Error(CALM_INVALID_ARGUMENT, "domain, template and stop_conditions: expected at most " +
                                           std::to_string(kMaxMetaBytes) +
                                           " bytes with their line ends, found " +
                                           std::to_string(blob.size()));
  }
  return blob;
}

}  // namespace calm::cwgt
