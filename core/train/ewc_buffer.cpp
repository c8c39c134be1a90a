#include "core/train/ewc_buffer.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/text/tokenizer.hpp"

namespace calm::train {

namespace {

std::string tensor_name(std::uint64_t i) { return fmt::format("batch/{:06}", i); }

}  // namespace

void EwcBuffer::add(data::Dataset batch) {
  batches_.push_back(std::move(batch));
  limit(capacity_);
}

void EwcBuffer::limit(std::size_t capacity) {
  capacity_ = capacity;
  while (batches_.size() > capacity_) {
    batches_.pop_front();
  }
}

std::vector<const data::Dataset *> EwcBuffer::draw(std::size_t count, std::uint64_t seed,
                                                   std::uint64_t step) const {
  std::vector<const data::Dataset *> drawn;
  for (const std::uint32_t i : data::shuffled(
           batches_.size(), seed, static_cast<std::uint32_t>(step), CALM_STREAM_FISHER)) {
    if (drawn.size() == count) {
      break;
    }
    drawn.push_back(&batches_[i]);
  }
  return drawn;
}

void EwcBuffer::write(data::Document &document) const {
  for (std::size_t i = 0; i < batches_.size(); ++i) {
    const data::Dataset &batch = batches_[i];
    std::size_t longest = 0;
    for (std::size_t row = 0; row < batch.size(); ++row) {
      longest = std::max(longest, batch.sequence(row).size());
    }
    std::vector<std::int32_t> ids(batch.size() * longest, text::kPad);
    for (std::size_t row = 0; row < batch.size(); ++row) {
      const auto sequence = batch.sequence(row);
      std::copy(sequence.begin(), sequence.end(),
                ids.begin() + static_cast<std::ptrdiff_t>(row * longest));
    }
    document.add<std::int32_t>(
        tensor_name(i), ids,
        {static_cast<std::int64_t>(batch.size()), static_cast<std::int64_t>(longest)});
  }
}

void EwcBuffer::read(const data::Document &document, std::uint64_t count, const std::string &path) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string name = tensor_name(i);
    const data::DocumentTensor *tensor = document.tensor(name);
    if (tensor == nullptr || tensor->type.dtype != CALM_I32 || tensor->type.rank != 2) {
      throw Error(CALM_CORRUPT_DATA,
                  fmt::format("{}: tensor {}: expected i32 [batch, length], found {}", path, name,
                              tensor == nullptr ? "none" : describe(tensor->type)));
    }
    const std::vector<std::int32_t> ids = tensor->as<std::int32_t>();
    const auto longest = static_cast<std::size_t>(tensor->type.shape[1]);
    data::Dataset batch;
    batch.offsets.push_back(0);
    for (std::size_t begin = 0; begin < ids.size(); begin += longest) {
      std::size_t end = begin + longest;
      // Padding on the right is neither a target nor seen by one (spec F.1).
      while (end > begin && ids[end - 1] == text::kPad) {
        --end;
      }
      for (std::size_t k = begin; k < end; ++k) {
        if (ids[k] < 0 || ids[k] >= text::kVocabSize) {
          throw Error(CALM_CORRUPT_DATA,
                      fmt::format("{}: tensor {}: expected token ids from 0 to {}, found {}", path,
                                  name, text::kVocabSize - 1, ids[k]));
        }
        batch.tokens.push_back(static_cast<std::uint16_t>(ids[k]));
      }
      batch.offsets.push_back(batch.tokens.size());
      batch.cmd_pos.push_back(0);
    }
    add(std::move(batch));
  }
}

}  // namespace calm::train
