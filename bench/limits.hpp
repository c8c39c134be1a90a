#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/probes.hpp"
#include "core/run/values.hpp"

namespace calm::bench {

/// What one token of a model asks for, by its shape alone (README.md, "Limits").
struct Work {
  double flops = 0;            ///< matrix products of one forward pass
  double head_flops = 0;       ///< those of `flops` that make logits
  double scan = 0;             ///< (channel, state) pairs of the scan, all layers
  double transcendentals = 0;  ///< exponentials and divisions of SiLU, softplus and GELU
  double weights = 0;          ///< of those products, the scan and the norms
};

/// `model` as the backbone's schema has it.
Work work_of(const run::Values &model);

/// The least time a piece of work can take, as a sum of parts that do not overlap.
struct Limit {
  struct Part {
    std::string name;
    double seconds = 0;
  };
  std::vector<Part> parts;

  double seconds() const;
  /// The largest part and its share: "gemm 71 %".
  std::string binds() const;
};

/// Of a training step with `tokens` tokens.
Limit train_limit(const Work &work, const Rates &rates, double tokens);
/// Of one more token for each of `sequences`.
Limit decode_limit(const Work &work, const Rates &rates, double sequences);
/// Of reading `tokens` tokens of which `logits` get logits.
Limit read_limit(const Work &work, const Rates &rates, double tokens, double logits);

}  // namespace calm::bench
