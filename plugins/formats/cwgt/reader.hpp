#pragma once

#include <cstdint>
#include <vector>

#include <calm/cpp/format.hpp>

#include "header.hpp"

namespace calm::cwgt {

// Reads a whole file once when it is opened, in bounded memory: structure and finite values.
class Reader {
 public:
  explicit Reader(const Input &input);
  const calm_document &document() const { return document_.view(); }
  // float32, checkpoint layout.
  void read(std::uint32_t index, void *dst, std::uint64_t bytes) const;

 private:
  void describe_fields();
  void describe_tensors(std::string_view prefix);
  void check_finite() const;
  // File offset of block 0 (weights), 1 (Fisher) or 2 (anchor).
  std::uint64_t block_offset(std::uint64_t block) const;

  Input input_;
  Header header_;
  std::vector<Parameter> parameters_;
  Document document_;
};

}  // namespace calm::cwgt
