#include "core/data/batch.hpp"

#include <algorithm>
#include <numeric>

#include <calm/cpp/error.hpp>

#include "core/base/digest.hpp"
#include "core/data/document.hpp"
#include "core/run/buckets.hpp"
#include "core/text/tokenizer.hpp"

namespace calm::data {

namespace {

// Kernels trust ids and lengths, and not every format knows what they mean.
void check_dataset(const Dataset &dataset, const std::string &path) {
  const std::size_t sequences = dataset.offsets.size() - 1;
  const auto expect = [&path](bool right, const std::string &what, std::uint64_t found) {
    if (!right) {
      throw Error(CALM_CORRUPT_DATA,
                  path + ": expected " + what + ", found " + std::to_string(found));
    }
  };
  expect(dataset.offsets.back() == dataset.tokens.size(),
         std::to_string(dataset.offsets.back()) + " tokens, the sum of lengths",
         dataset.tokens.size());
  expect(dataset.cmd_pos.size() == sequences,
         std::to_string(sequences) + " values in cmd_pos, one a sequence", dataset.cmd_pos.size());
  const auto wild = std::find_if(dataset.tokens.begin(), dataset.tokens.end(),
                                 [](std::uint16_t token) { return token >= text::kVocabSize; });
  if (wild != dataset.tokens.end()) {
    expect(false, "tokens below " + std::to_string(text::kVocabSize), *wild);
  }
}

}  // namespace

Dataset read_dataset(run::Runtime &runtime, const std::string &path) {
  const Document document = read_document(runtime, path);
  if (document.tensor("lengths") == nullptr) {
    throw Error(CALM_CORRUPT_DATA, path + ": expected a dataset (ctds), found " + document.format);
  }
  Dataset dataset;
  dataset.tokens = document.need("tokens").as<std::uint16_t>();
  dataset.cmd_pos = document.need("cmd_pos").as<std::uint16_t>();
  dataset.offsets.push_back(0);
  for (const std::uint16_t length : document.need("lengths").as<std::uint16_t>()) {
    dataset.offsets.push_back(dataset.offsets.back() + length);
  }
  check_dataset(dataset, path);
  return dataset;
}

Dataset select(const Dataset &dataset, std::span<const std::uint32_t> which) {
  Dataset chosen;
  chosen.offsets.push_back(0);
  for (const std::uint32_t index : which) {
    const std::span<const std::uint16_t> ids = dataset.sequence(index);
    chosen.tokens.insert(chosen.tokens.end(), ids.begin(), ids.end());
    chosen.offsets.push_back(chosen.tokens.size());
    chosen.cmd_pos.push_back(dataset.cmd_pos[index]);
  }
  return chosen;
}

std::string fingerprint(const Dataset &dataset) {
  Sha256 sum;
  const auto add = [&sum](const auto &values) {
    sum.add(values.data(), values.size() * sizeof values[0]);
  };
  add(dataset.offsets);  // first: its size tells the next two apart
  add(dataset.cmd_pos);
  add(dataset.tokens);
  return sum.hex();
}

std::vector<std::uint32_t> usable_sequences(const Dataset &dataset, std::int64_t l_max) {
  constexpr std::size_t kShortest = 4;
  std::vector<std::uint32_t> usable;
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    const std::size_t length = dataset.sequence(i).size();
    if (length >= kShortest && length <= static_cast<std::size_t>(l_max)) {
      usable.push_back(static_cast<std::uint32_t>(i));
    }
  }
  return usable;
}

namespace {

// Empty sequences up to `sequences`, dead rows up to the bucket.
void complete(Batch &batch, std::int64_t sequences) {
  batch.rows = static_cast<std::int64_t>(batch.tokens.size());
  batch.offsets.resize(static_cast<std::size_t>(sequences) + 1,
                       static_cast<std::int32_t>(batch.rows));
  const auto bucket = static_cast<std::size_t>(run::bucket_tokens(batch.rows));
  batch.tokens.resize(bucket, text::kPad);
  batch.targets.resize(bucket, -1);
}

// A sequence as the loss sees it: at most l_max + 1 tokens, targets from `cmd` on.
struct Cut {
  std::span<const std::uint16_t> ids;
  std::size_t cmd;

  Cut(const Dataset &dataset, std::uint32_t index, std::int64_t l_max, bool use_cmd)
      : ids(dataset.sequence(index)), cmd(use_cmd ? dataset.cmd_pos[index] : 0) {
    if (ids.size() > static_cast<std::size_t>(l_max) + 1) {
      const std::size_t cut = ids.size() - (static_cast<std::size_t>(l_max) + 1);
      ids = ids.subspan(cut);
      cmd = cmd > cut ? cmd - cut : 0;
    }
  }
  std::size_t rows() const { return ids.empty() ? 0 : ids.size() - 1; }
  bool counts(std::size_t j) const { return j >= cmd && ids[j + 1] != text::kPad; }
};

}  // namespace

Batch pack(const Dataset &dataset, std::span<const std::uint32_t> which, std::int64_t sequences,
           std::int64_t l_max, bool use_cmd, Share share) {
  Batch batch;
  for (const std::uint32_t index : which) {
    const Cut cut(dataset, index, l_max, use_cmd);
    batch.all_rows += static_cast<std::int64_t>(cut.rows());
    for (std::size_t j = 0; j < cut.rows(); ++j) {
      batch.counted += cut.counts(j) ? 1 : 0;
    }
  }
  batch.offsets.push_back(0);
  for (const std::uint32_t index : share_of(dataset, which, share)) {
    const Cut cut(dataset, index, l_max, use_cmd);
    for (std::size_t j = 0; j < cut.rows(); ++j) {
      batch.tokens.push_back(cut.ids[j]);
      batch.targets.push_back(cut.counts(j) ? cut.ids[j + 1] : -1);
    }
    batch.offsets.push_back(static_cast<std::int32_t>(batch.tokens.size()));
  }
  complete(batch, sequences);
  return batch;
}

Batch pack_inputs(const Dataset &dataset, std::span<const std::uint32_t> which,
                  std::int64_t sequences, std::int64_t l_max) {
  Batch batch;
  batch.offsets.push_back(0);
  for (const std::uint32_t index : which) {
    std::span<const std::uint16_t> ids = dataset.sequence(index);
    ids = ids.last(std::min(ids.size(), static_cast<std::size_t>(l_max)));
    batch.tokens.insert(batch.tokens.end(), ids.begin(), ids.end());
    batch.offsets.push_back(static_cast<std::int32_t>(batch.tokens.size()));
  }
  complete(batch, sequences);
  batch.all_rows = batch.rows;
  return batch;
}

std::vector<std::uint32_t> shuffled(std::size_t count, std::uint64_t seed, std::uint32_t epoch,
                                    std::uint32_t stream) {
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  // Fisher–Yates; 64 random bits over the range leave a bias below 2^-32.
  for (std::size_t i = count; i > 1; --i) {
    const calm_philox4 block = calm_philox(seed, static_cast<std::uint32_t>(i), epoch, 0, stream);
    const std::uint64_t bits = (std::uint64_t{block.word[0]} << 32) | block.word[1];
    std::swap(order[i - 1], order[bits % i]);
  }
  return order;
}

}  // namespace calm::data
