#include "core/train/samples.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/digest.hpp"
#include "core/base/file.hpp"
#include "core/base/log.hpp"
#include "core/data/pairs.hpp"

namespace calm::train {

namespace {

// Pairs are read whole; more would not be trained on in a lifetime.
constexpr std::uint64_t kLargestPairFile = std::uint64_t{4} << 30;

void append(data::Dataset &dataset, std::string_view bytes, std::int64_t l_max) {
  for (const text::Token id : data::encode_pair_text(bytes, static_cast<std::size_t>(l_max))) {
    dataset.tokens.push_back(static_cast<std::uint16_t>(id));
  }
  dataset.offsets.push_back(dataset.tokens.size());
  dataset.cmd_pos.push_back(0);
}

void append(data::Dataset &dataset, const data::Dataset &more) {
  const std::uint64_t begin = dataset.tokens.size();
  dataset.tokens.insert(dataset.tokens.end(), more.tokens.begin(), more.tokens.end());
  for (std::size_t i = 1; i < more.offsets.size(); ++i) {
    dataset.offsets.push_back(begin + more.offsets[i]);
  }
  dataset.cmd_pos.insert(dataset.cmd_pos.end(), more.cmd_pos.begin(), more.cmd_pos.end());
}

void warn(const data::PairFile &file, const std::string &path) {
  if (!file.replaced_queries.empty()) {
    log_warning(
        "{}: line {}: a query follows another one without an empty line between their pairs, and "
        "takes its place ({} times in all)",
        path, file.replaced_queries.front(), file.replaced_queries.size());
  }
  if (file.too_short > 0) {
    log_warning("{}: left out {} pairs: a query has at least {} characters, a passage {}", path,
                file.too_short, data::kShortestQuery, data::kShortestPassage);
  }
}

Samples read_pairs(const std::string &path, std::int64_t l_max, bool needed) {
  const data::PairFile file = data::parse_pairs(read_text(path, kLargestPairFile), path);
  warn(file, path);
  if (needed && file.pairs.size() < 2) {
    throw Error(CALM_CORRUPT_DATA,
                fmt::format("{}: expected at least two pairs, found {}", path, file.pairs.size()));
  }
  Samples samples;
  samples.positives.emplace();
  samples.dataset.offsets.push_back(0);
  samples.positives->offsets.push_back(0);
  for (const data::TextPair &pair : file.pairs) {
    append(samples.dataset, pair.query, l_max);
    append(*samples.positives, pair.passage, l_max);
  }
  samples.usable.resize(file.pairs.size());
  std::iota(samples.usable.begin(), samples.usable.end(), 0U);
  return samples;
}

}  // namespace

std::size_t Samples::taken(std::size_t batch_size) const {
  const std::size_t last = usable.size() % batch_size;
  return pairs() && last == 1 ? usable.size() - 1 : usable.size();
}

data::Batch Samples::batch(std::span<const std::uint32_t> which, std::int64_t batch_size,
                           std::int64_t l_max, data::Share share) const {
  if (!pairs()) {
    return data::pack(dataset, which, batch_size, l_max, true, share);
  }
  data::Dataset both = data::select(dataset, which);
  append(both, data::select(*positives, which));
  std::vector<std::uint32_t> all(both.size());
  std::iota(all.begin(), all.end(), 0U);
  // As many sequences as there are: an empty one would be an answer to every query.
  data::Batch batch = data::pack_inputs(both, all, static_cast<std::int64_t>(all.size()), l_max);
  batch.counted = static_cast<std::int64_t>(which.size());
  return batch;
}

std::vector<std::uint32_t> Samples::order(bool shuffle, std::uint64_t seed,
                                          std::uint32_t epoch) const {
  if (!shuffle) {
    return usable;
  }
  std::vector<std::uint32_t> order = data::shuffled(usable.size(), seed, epoch);
  for (std::uint32_t &index : order) {
    index = usable[index];
  }
  return order;
}

// Of what batch() packs.
std::size_t Samples::rows(std::uint32_t sample, std::int64_t l_max) const {
  const auto most = static_cast<std::size_t>(l_max);
  const std::size_t tokens = dataset.sequence(sample).size();
  return pairs() ? std::min(tokens, most) + std::min(positives->sequence(sample).size(), most)
                 : std::min(tokens - 1, most);
}

std::span<const std::uint32_t> Samples::largest_batch(std::span<const std::uint32_t> order,
                                                      std::int64_t batch_size,
                                                      std::int64_t l_max) const {
  std::span<const std::uint32_t> largest;
  std::size_t most = 0;
  while (!order.empty()) {
    const auto batch = order.first(std::min(order.size(), static_cast<std::size_t>(batch_size)));
    order = order.subspan(batch.size());
    std::size_t sum = 0;
    for (const std::uint32_t sample : batch) {
      sum += rows(sample, l_max);
    }
    if (sum > most) {
      most = sum;
      largest = batch;
    }
  }
  return largest;
}

std::string Samples::fingerprint() const {
  if (!pairs()) {
    return data::fingerprint(dataset);
  }
  const std::string parts = data::fingerprint(dataset) + data::fingerprint(*positives);
  Sha256 sum;
  sum.add(parts.data(), parts.size());
  return sum.hex();
}

Samples read_samples(run::Runtime &runtime, const calm_trainer &trainer, const std::string &path,
                     std::int64_t l_max, bool needed) {
  if (trainer.samples == CALM_SAMPLES_PAIRS) {
    return read_pairs(path, l_max, needed);
  }
  Samples samples;
  samples.dataset = data::read_dataset(runtime, path);
  samples.usable = data::usable_sequences(samples.dataset, l_max);
  if (needed && samples.usable.empty()) {
    throw Error(CALM_CORRUPT_DATA,
                fmt::format("{}: expected at least one sequence of 4 to {} tokens, found none "
                            "among {}",
                            path, l_max, samples.dataset.size()));
  }
  return samples;
}

}  // namespace calm::train
