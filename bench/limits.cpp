#include "bench/limits.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "core/run/language_model.hpp"

namespace calm::bench {

namespace {

// Of the peak in registers: what a good fp32 product of such sizes reaches.
constexpr double kGemmShare = 0.75;
// A backward scan element against a forward one: 6.5 ns against 2.49 ns for 16.
constexpr double kScanGrad = 6.5 / 2.49;
// A backward pass makes two products of the size of each forward one.
constexpr double kPasses = 3;
// Activations are computed again for their gradients.
constexpr double kActivationPasses = 2;
// AdamW reads parameter, gradient and both moments, and writes all but the gradient.
constexpr double kUpdateBytes = 28;
constexpr double kUpdateStorage = 16;
constexpr double kReal = 4;

Limit::Part gemm(double flops, const Rates &rates) {
  return {"gemm", flops / (kGemmShare * rates.flops)};
}

Limit::Part activations(const Work &work, const Rates &rates, double tokens) {
  return {"activations", tokens * work.transcendentals / rates.exponentials};
}

}  // namespace

Work work_of(const run::Values &model) {
  const auto number = [&](const char *key) { return static_cast<double>(model.integer(key)); };
  const double d = number("d_model");
  const double layers = number("n_layers");
  const double inner = number("mamba_expand") * d;
  const double states = number("mamba_d_state");
  const double given = number("mamba_dt_rank");
  const double rank = given > 0 ? given : std::ceil(d / 16);
  const double hidden = number("ffn_expand") * d;
  constexpr auto kVocab = static_cast<double>(run::LanguageModel::kVocab);
  // in_proj, x_proj, dt_proj, out_proj and both of the feed-forward.
  const double products =
      2 * inner * d + (rank + 2 * states) * inner + inner * rank + d * inner + 2 * hidden * d;
  const double others = inner * (number("mamba_d_conv") + states + 2) + 4 * d;
  Work work;
  work.head_flops = 2 * kVocab * d;
  work.flops = 2 * layers * products + work.head_flops;
  work.scan = layers * inner * states;
  // An exponential and a division each: SiLU of the convolution, SiLU of the gate, softplus and its
  // logarithm; GELU's tanh counts once.
  work.transcendentals = layers * (6 * inner + hidden);
  work.weights = layers * (products + others) + kVocab * d + 2 * d;
  return work;
}

double Limit::seconds() const {
  return std::accumulate(parts.begin(), parts.end(), 0.0,
                         [](double sum, const Part &part) { return sum + part.seconds; });
}

std::string Limit::binds() const {
  const Part &most =
      *std::max_element(parts.begin(), parts.end(),
                        [](const Part &a, const Part &b) { return a.seconds < b.seconds; });
  return fmt::format("{} {:.0f} %", most.name, 100 * most.seconds / seconds());
}

Limit train_limit(const Work &work, const Rates &rates, double tokens) {
  const double update =
      kUpdateBytes * work.weights / rates.level_for(kUpdateStorage * work.weights).bytes_per_second;
  return {{gemm(kPasses * work.flops * tokens, rates),
           {"scan", tokens * work.scan * (1 + kScanGrad) / rates.scan},
           activations(work, rates, kActivationPasses * tokens),
           {"update", update}}};
}

Limit decode_limit(const Work &work, const Rates &rates, double sequences) {
  const double bytes = kReal * work.weights;
  const Limit::Part read{"weights", bytes / rates.level_for(bytes).bytes_per_second};
  const Limit::Part compute = gemm(work.flops * sequences, rates);
  return {{read.seconds > compute.seconds ? read : compute,
           {"scan", sequences * work.scan / rates.scan},
           activations(work, rates, sequences)}};
}

Limit read_limit(const Work &work, const Rates &rates, double tokens, double logits) {
  return {{gemm((work.flops - work.head_flops) * tokens + work.head_flops * logits, rates),
           {"scan", tokens * work.scan / rates.scan},
           activations(work, rates, tokens)}};
}

}  // namespace calm::bench
