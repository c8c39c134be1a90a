#pragma once

#include <calm/trainer.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/data/batch.hpp"
#include "core/run/runtime.hpp"

namespace calm::train {

/// What a run trains or validates on: token sequences (spec I.2), or pairs of them (spec H, I.15).
/// The loop counts, permutes and slices indices; what a batch of them is, is decided here.
struct Samples {
  data::Dataset dataset;                   ///< of pairs: the queries
  std::optional<data::Dataset> positives;  ///< of pairs: the passage of each query
  std::vector<std::uint32_t> usable;       ///< indices

  bool pairs() const { return positives.has_value(); }
  /// How many of the usable ones an epoch takes: a last batch of a single pair teaches nothing and
  /// is skipped (spec I.15).
  std::size_t taken(std::size_t batch_size) const;
  /// One micro-batch of the samples `which`, at most `batch_size`: the rows of sequences (spec F),
  /// or of all queries and then all positives, whose loss is a mean over the pairs.
  /// Sequences may be shared between ranks; pairs never are.
  data::Batch batch(std::span<const std::uint32_t> which, std::int64_t batch_size,
                    std::int64_t l_max, data::Share share = {}) const;
  /// The usable ones as an epoch, counted from 1, takes them.
  std::vector<std::uint32_t> order(bool shuffle, std::uint64_t seed, std::uint32_t epoch) const;
  /// Of the batches that `order` is cut into, the first of those with the most rows.
  std::span<const std::uint32_t> largest_batch(std::span<const std::uint32_t> order,
                                               std::int64_t batch_size, std::int64_t l_max) const;
  /// SHA-256 of what was read, whatever file it came from.
  std::string fingerprint() const;
  /// The flag that names the training file.
  const char *flag() const { return pairs() ? "--pairs" : "--dataset"; }

 private:
  std::size_t rows(std::uint32_t sample, std::int64_t l_max) const;
};

/// Reads what `trainer` trains on: a CTDS file, or a pair file, whose oddities become warnings.
/// With `needed` too few to train on are CALM_CORRUPT_DATA naming the file.
Samples read_samples(run::Runtime &runtime, const calm_trainer &trainer, const std::string &path,
                     std::int64_t l_max, bool needed = true);

}  // namespace calm::train
