#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/run/runtime.hpp"
#include "core/search/encoder.hpp"
#include "core/search/index.hpp"
#include "core/search/sources.hpp"

/// Making and changing an index. Each change is there as a whole or not at all, whenever the
/// process ends; readers see the index before or after it. Those that change one take it opened for
/// writing and commit it.
namespace calm::search {

struct Changes {
  std::uint64_t added = 0, replaced = 0, unchanged = 0, removed = 0;  ///< sources
  std::uint64_t skipped = 0;   ///< sources found in folders that are no text
  std::uint64_t passages = 0;  ///< written
};

/// What a change works with. `encoder` is null for an index without vectors. `progress` hears of
/// sources and passages so far, now and then.
struct Workshop {
  run::Runtime *runtime = nullptr;
  Encoder *encoder = nullptr;
  std::function<void(std::uint64_t sources, std::uint64_t passages)> progress;
};

/// A new index of `sources` at `path`, in the place of one that is there. Any other file there is
/// refused: CALM_CORRUPT_DATA.
Changes build_index(const Workshop &workshop, const std::string &path,
                    std::span<const std::string> sources);

/// Adds sources. Those that are in the index as they are stay; changed ones are replaced.
Changes add_sources(const Workshop &workshop, Index &index, std::span<const std::string> sources);

/// Removes sources, or all below a folder; they need not exist any more. CALM_NOT_FOUND for one the
/// index has not, and then nothing is removed.
Changes remove_sources(Index &index, std::span<const std::string> sources);

/// New vectors of all passages by the workshop's model, which the index is of from then on.
Changes rebuild_vectors(const Workshop &workshop, Index &index);

/// CALM_INVALID_ARGUMENT unless `model` is the one of the index.
void expect_model(const Index &index, const ModelInfo &model);

}  // namespace calm::search
