#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/run/model_file.hpp"
#include "core/run/session.hpp"
#include "core/run/values.hpp"

namespace calm::cli {

/// Times of one kind of work, as `calm bench` shows them.
struct Timing {
  std::string test;             ///< "train", "prefill", "decode", "keystroke", "embed"
  std::int64_t size = 0;        ///< tokens of a sample, keys of a line
  double tokens = 0;            ///< done in all
  std::vector<double> seconds;  ///< of each sample: a step, prompt, token, key or batch of texts

  double tokens_per_second() const;
  /// The time that `share` of the samples do not exceed, in milliseconds.
  double milliseconds(double share) const;
};

/// What the tests share: how often each is repeated, and when to give up (CALM_CANCELLED).
struct BenchPlan {
  std::int64_t repetitions = 5;
  std::function<bool()> cancelled;
};

/// Reads a prompt of `tokens`. A sample is a prompt.
Timing time_prefill(run::LoadedModel &loaded, run::Session &session, const BenchPlan &plan,
                    std::int64_t tokens);
/// Greedily, after a prompt of `prompt` tokens, from which it starts again where the model ends. A
/// sample is a token.
Timing time_decode(run::LoadedModel &loaded, run::Session &session, const BenchPlan &plan,
                   std::int64_t prompt, std::int64_t tokens);
/// A line that grows by one byte a key behind a prompt of `prompt` tokens, every state of it kept
/// to come back to. A sample is a key.
Timing time_keystrokes(run::LoadedModel &loaded, run::Session &session, const BenchPlan &plan,
                       std::int64_t prompt, std::int64_t keys);
/// Texts of `tokens` each. A sample is a batch of 32.
Timing time_embed(run::LoadedModel &loaded, run::Session &session, const BenchPlan &plan,
                  std::int64_t tokens);
/// Steps of next-token training that change nothing, batches of sequences of `tokens` rows.
Timing time_train(run::Runtime &runtime, run::LoadedModel &loaded, run::Session &session,
                  const BenchPlan &plan, const run::Values &training, std::int64_t tokens);

}  // namespace calm::cli
