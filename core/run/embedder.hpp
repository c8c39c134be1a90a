#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "core/run/language_model.hpp"
#include "core/run/stage.hpp"
#include "core/run/weights.hpp"

namespace calm::run {

/// [BOS] bytes [EOS] of a text, cut to `l_max` tokens with EOS last (spec H.3); any bytes. Needs
/// l_max >= 2.
std::vector<std::int32_t> text_tokens(std::string_view text, std::int64_t l_max);

/// Sequences to vectors (spec G), on one session. Keeps a copy of the weights there and its
/// compiled programs from call to call.
class Embedder {
 public:
  enum class Pool { kMean, kLast };  ///< over a sequence's rows, BOS and EOS among them
  struct Options {
    Pool pool = Pool::kMean;
    bool normalize = true;  ///< to length 1
  };

  /// Session and model must outlive the embedder; the weights are copied.
  Embedder(Session &session, const LanguageModel &model, const Weights &weights, Options options);

  /// Numbers in a vector: d_model.
  std::int64_t dimension() const { return model_->config().integer("d_model"); }

  /// [sequences, dimension()], row i of sequence i. Any number of sequences of any length: of one
  /// longer than l_max the last l_max tokens count, an empty one gives zeros. Work goes in packed
  /// batches of bounded size, so memory on the device does not grow with the call.
  /// CALM_INVALID_ARGUMENT for an id outside the vocabulary, CALM_DIVERGED when the model's output
  /// is not finite.
  std::vector<float> embed(std::span<const std::vector<std::int32_t>> sequences);

 private:
  struct Batch {
    std::vector<std::int32_t> tokens, offsets;
  };
  Batch take(std::span<const std::vector<std::int32_t>> sequences, std::size_t &next) const;
  Stage &stage(std::int64_t rows, std::int64_t sequences);

  Session *session_;
  const LanguageModel *model_;
  Options options_;
  Buffer weights_;
  SlotBuffers shared_{};
  std::map<std::pair<std::int64_t, std::int64_t>, std::unique_ptr<Stage>> stages_;
};

}  // namespace calm::run
