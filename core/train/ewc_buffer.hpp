#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "core/data/batch.hpp"
#include "core/data/document.hpp"

namespace calm::train {

/// The newest micro-batches of a run, from which the Fisher information is estimated (spec J.4).
class EwcBuffer {
 public:
  explicit EwcBuffer(std::size_t capacity) : capacity_(capacity) {}

  std::size_t size() const { return batches_.size(); }
  void add(data::Dataset batch);
  /// Another capacity: the oldest go.
  void limit(std::size_t capacity);

  /// `count` of them without replacement, at most all; from (seed, step) alone.
  std::vector<const data::Dataset *> draw(std::size_t count, std::uint64_t seed,
                                          std::uint64_t step) const;

  /// Tensors batch/000000…, oldest first, I32 [B, L] padded on the right (spec M.4).
  void write(data::Document &document) const;
  /// Appends `count` batches of such a document. CALM_CORRUPT_DATA naming `path` and the tensor.
  void read(const data::Document &document, std::uint64_t count, const std::string &path);

 private:
  std::size_t capacity_;
  std::deque<data::Dataset> batches_;  // oldest first
};

}  // namespace calm::train
