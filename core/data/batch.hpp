#pragma once

#include <calm/random.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/run/runtime.hpp"

namespace calm::data {

/// Sequences of token ids, end to end, as a dataset file holds them.
struct Dataset {
  std::vector<std::uint16_t> tokens;   ///< (sum of lengths), each < 320
  std::vector<std::uint64_t> offsets;  ///< (sequences + 1), offsets[0] = 0
  std::vector<std::uint16_t> cmd_pos;  ///< (sequences), index of ATN; targets before it don't count
  std::size_t size() const { return cmd_pos.size(); }
  std::span<const std::uint16_t> sequence(std::size_t i) const {
    return std::span(tokens).subspan(offsets[i], offsets[i + 1] - offsets[i]);
  }
};

/// Reads a CTDS file, or one of another format with its tensors. CALM_CORRUPT_DATA naming the file
/// when it is something else, or its ids and lengths are not as above.
Dataset read_dataset(run::Runtime &runtime, const std::string &path);

/// The sequences `which`, in that order.
Dataset select(const Dataset &dataset, std::span<const std::uint32_t> which);

/// SHA-256 of the sequences, whatever file they came from: whether a run goes on with its data.
std::string fingerprint(const Dataset &dataset);

/// Indices of the sequences training uses: 4 <= length <= l_max (spec I.2).
std::vector<std::uint32_t> usable_sequences(const Dataset &dataset, std::int64_t l_max);

/// One step's inputs, packed without padding (program rule 2). Dead rows carry PAD and target -1.
struct Batch {
  std::vector<std::int32_t> tokens;   ///< [T]
  std::vector<std::int32_t> targets;  ///< [T]
  std::vector<std::int32_t> offsets;  ///< [S + 1]; offsets[S] = live rows
  std::int64_t rows = 0;              ///< live rows
  std::int64_t counted = 0;           ///< targets >= 0, of all ranks that share the batch
  std::int64_t all_rows = 0;          ///< live rows of all ranks
};

/// Which part of a batch is meant: that of one of the ranks that share it.
struct Share {
  std::uint32_t rank = 0;
  std::uint32_t of = 1;
};

/// The sequences of `which` that fall to a rank, in their order: whole ones, dealt longest first to
/// the rank with the fewest tokens, so that all have about as much to do. Every sequence falls to
/// one rank; some ranks may get none. From lengths alone, so each rank finds all shares by itself.
std::vector<std::uint32_t> share_of(const Dataset &dataset, std::span<const std::uint32_t> which,
                                    Share share);

/// Packs sequences for the language-model loss (spec F.1): of each, inputs are all but the last
/// token, targets all but the first; those before cmd_pos (with `use_cmd`) or equal to PAD don't
/// count. A sequence longer than l_max + 1 contributes its last l_max + 1 tokens. Missing sequences
/// up to `sequences` are empty. T is the bucket of the live rows. Of `which` only the rank's share
/// is packed; it may be empty.
Batch pack(const Dataset &dataset, std::span<const std::uint32_t> which, std::int64_t sequences,
           std::int64_t l_max, bool use_cmd = true, Share share = {});

/// The same with every token an input and no target: of each sequence the last l_max tokens.
Batch pack_inputs(const Dataset &dataset, std::span<const std::uint32_t> which,
                  std::int64_t sequences, std::int64_t l_max);

/// Order of the samples in an epoch: a permutation of [0, count) from (seed, epoch) alone, so an
/// epoch does not depend on earlier ones (spec I.4, ruling P.6). Other draws have other streams.
std::vector<std::uint32_t> shuffled(std::size_t count, std::uint64_t seed, std::uint32_t epoch,
                                    std::uint32_t stream = CALM_STREAM_SHUFFLE);

}  // namespace calm::data
