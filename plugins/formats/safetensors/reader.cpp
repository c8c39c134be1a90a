#include "reader.hpp"

#include <array>
#include <string>

#include <calm/cpp/byte_reader.hpp>

#include "header.hpp"

namespace calm::safetensors {
namespace {

std::string read_header_text(const Input &input) {
  std::array<std::byte, kLengthBytes> bytes{};
  if (input.bytes() < bytes.size()) {
    corrupt_at(input.bytes(), "a header length of 8 bytes", "the end");
  }
  input.read(0, bytes.data(), bytes.size());
  const std::uint64_t length = ByteReader(bytes).u64("header length");
  if (length > kMaxHeaderBytes) {
    corrupt_at(0, "a header of at most " + std::to_string(kMaxHeaderBytes) + " bytes",
               std::to_string(length));
  }
  if (length > input.bytes() - kLengthBytes) {
    corrupt_at(0, "a header within the file", std::to_string(length) + " bytes");
  }
  std::string text(static_cast<std::size_t>(length), '\0');
  input.read(kLengthBytes, text.data(), text.size());
  return text;
}

}  // namespace

Reader::Reader(const Input &input) : input_(input) {
  const std::string text = read_header_text(input);
  const std::uint64_t data_start = kLengthBytes + text.size();
  const Header header = parse_header(text, input.bytes() - data_start);
  for (const auto &[name, value] : header.metadata) {
    document_.field(name, value);
  }
  for (const Entry &e : header.entries) {
    document_.tensor(e.name, e.type);
    offsets_.push_back(data_start + e.begin);
  }
}

void Reader::read(std::uint32_t index, void *dst, std::uint64_t bytes) const {
  document_.expect(index, bytes);
  input_.read(offsets_[index], dst, bytes);
}

}  // namespace calm::safetensors
