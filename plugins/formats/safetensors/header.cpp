#include "header.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include <calm/cpp/byte_reader.hpp>

#include "handler.hpp"

namespace calm::safetensors {
namespace {

// Walks the header and tells how far the parser has come, for the offsets in messages.
class Cursor {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char *;
  using reference = const char &;

  Cursor(const char *at, const char **reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  Cursor &operator++() {
    *reached_ = ++at_;
    return *this;
  }
  bool operator==(const Cursor &other) const { return at_ == other.at_; }
  bool operator!=(const Cursor &other) const { return at_ != other.at_; }

 private:
  const char *at_;
  const char **reached_;
};

void check_coverage(const Header &header, std::uint64_t data_start, std::uint64_t data_bytes) {
  std::vector<const Entry *> by_offset;
  for (const Entry &e : header.entries) {
    by_offset.push_back(&e);
  }
  std::sort(by_offset.begin(), by_offset.end(), [](const Entry *a, const Entry *b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  std::uint64_t covered = 0;
  for (const Entry *e : by_offset) {
    if (e->begin != covered) {
      corrupt_at(data_start + covered,
                 "data_offsets of " + shown(e->name) + " to start at " + std::to_string(covered),
                 std::to_string(e->begin));
    }
    covered = e->end;
  }
  if (covered != data_bytes) {
    corrupt_at(data_start + std::min(covered, data_bytes),
               std::to_string(covered) + " bytes of data", std::to_string(data_bytes));
  }
}

}  // namespace

Header parse_header(std::string_view json, std::uint64_t data_bytes) {
  if (json.empty() || json.front() != '{') {
    corrupt_at(kLengthBytes, "a JSON header that starts with a brace",
               json.empty() ? "none" : "another character");
  }
  // The parser would take a NUL for the end and never look behind it.
  if (const std::size_t nul = json.find('\0'); nul != std::string_view::npos) {
    corrupt_at(kLengthBytes + nul, "a JSON header", "a byte of 0");
  }
  const char *reached = json.data();
  Handler handler(json.data(), &reached);
  nlohmann::json::sax_parse(Cursor(json.data(), &reached),
                            Cursor(json.data() + json.size(), &reached), &handler);
  check_coverage(handler.header, kLengthBytes + json.size(), data_bytes);
  return std::move(handler.header);
}

std::optional<std::uint64_t> bytes_without_zeros(const calm_type &type) {
  std::uint64_t bytes = dtype_bytes(type.dtype);
  bool overflow = false;
  for (std::uint32_t i = 0; i < type.rank; ++i) {
    const auto extent = std::max<std::uint64_t>(static_cast<std::uint64_t>(type.shape[i]), 1);
    overflow = overflow || __builtin_mul_overflow(bytes, extent, &bytes);
  }
  if (overflow || bytes > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return std::nullopt;
  }
  return bytes;
}

bool is_empty_and_huge(const calm_type &type) {
  const bool empty = std::find(type.shape, type.shape + type.rank, 0) != type.shape + type.rank;
  const auto bytes = bytes_without_zeros(type);
  return empty && (!bytes || *bytes / dtype_bytes(type.dtype) > kMaxEmptyElements);
}

std::string shown(std::string_view name) {
  constexpr std::size_t kShown = 80;
  std::string text = nlohmann::json(std::string(name.substr(0, kShown)))
                         .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (name.size() > kShown) {
    text.insert(text.size() - 1, "...");
  }
  return text;
}

}  // namespace calm::safetensors
