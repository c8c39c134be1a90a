#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/data/batch.hpp"
#include "core/run/model_file.hpp"
#include "core/run/runtime.hpp"

namespace calm::train {

/// `calm eval`: the whole file, every sequence of any length >= 1 (at most l_max + 1 tokens of
/// each).
struct Evaluation {
  double loss = 0;           ///< token mean, nats; 0 when nothing counts
  double bits_per_byte = 0;  ///< sum of losses / ln 2 / counted byte targets (ids < 256)
  std::uint64_t tokens = 0;  ///< counted targets
  std::uint64_t sequences = 0;
};
Evaluation evaluate(run::Runtime &runtime, run::Session &session, run::LoadedModel &loaded,
                    const data::Dataset &dataset);

/// `calm forward`: the file as one batch (cli.md). With `gradients` the gradient of the mean loss
/// for every parameter; with `steps` > 0 the parameters after that many optimizer steps on the
/// batch.
struct ForwardOptions {
  bool gradients = false;
  std::uint64_t steps = 0;  ///< AdamW with its defaults (spec I.8), clip 1, constant lr
  double lr = 1e-3;
};
struct ForwardResult {
  std::vector<float> logits;          ///< [rows, vocab], packed
  std::vector<std::int32_t> offsets;  ///< [sequences + 1]
  float loss = 0;
  std::vector<run::Weights> gradients;  ///< one, or none
  std::vector<run::Weights> after;      ///< one, or none
};
ForwardResult forward(run::Runtime &runtime, run::Session &session, run::LoadedModel &loaded,
                      const data::Dataset &dataset, const ForwardOptions &options);

}  // namespace calm::train
