#pragma once

#include <array>
#include <cstdint>

#include <calm/cpp/format.hpp>

namespace calm::ctds {

// Reads a whole file once when it is opened, in bounded memory: every length, position and token is
// checked. A `max_len` that is not the longest length is a warning in the host's log.
class Reader {
 public:
  Reader(const Input &input, const calm_host *host);
  const calm_document &document() const { return document_.view(); }
  void read(std::uint32_t index, void *dst, std::uint64_t bytes) const;

 private:
  void read_header();
  void check_lengths(const calm_host *host);
  void check_positions() const;
  void check_tokens() const;

  Input input_;
  std::uint64_t vocab_version_ = 0, count_ = 0, max_len_ = 0, total_ = 0;
  std::array<std::uint64_t, 3> offsets_{};  // of lengths, positions, tokens
  Document document_;
};

}  // namespace calm::ctds
