#pragma once

#include <cstdint>
#include <vector>

#include <calm/cpp/format.hpp>

namespace calm::safetensors {

// Checks the header against the size of the file when opened; data is read when asked for.
// `__metadata__` becomes text fields.
class Reader {
 public:
  explicit Reader(const Input &input);
  const calm_document &document() const { return document_.view(); }
  void read(std::uint32_t index, void *dst, std::uint64_t bytes) const;

 private:
  Input input_;
  std::vector<std::uint64_t> offsets_;  // in the file, one a tensor
  Document document_;
};

}  // namespace calm::safetensors
