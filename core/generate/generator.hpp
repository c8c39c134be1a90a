#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/generate/follower.hpp"
#include "core/run/model_file.hpp"
#include "core/run/runtime.hpp"
#include "core/run/stage.hpp"
#include "core/text/tokenizer.hpp"

namespace calm::generate {

/// Sampler settings of spec D.1; temperature <= 0 or no filter at all is greedy.
struct Sampling {
  double temperature = 0.8;
  std::int64_t top_k = 5;
  double top_p = 0;
  double min_p = 0;
  std::int64_t max_tokens = 256;
  std::uint64_t seed = 0;
};

/// A text the model has read: its decode state and the logits after its last token, on the device.
/// Made by a Generator and good for that one only, which must outlive it.
class Prefix {
 public:
  /// Tokens read, those the model no longer sees among them.
  std::int64_t length() const { return length_; }

 private:
  friend class Generator;
  Prefix() = default;

  run::Buffer state_;   // one sequence's state tensors, in Generator::parts_'s places
  run::Buffer logits_;  // real [V]
  std::int64_t length_ = 0;
};

/// Prefill and decode on one session. Keeps its compiled programs from call to call; all of them
/// share one copy of the weights.
class Generator {
 public:
  /// The loaded model and the session must outlive the generator.
  Generator(run::LoadedModel &loaded, run::Session &session);
  ~Generator();

  /// `candidates` independent continuations of one prompt (spec D.3): one prefill, then one batch.
  /// `stops` as text::parse_stop_conditions gives them. Candidate i does not depend on how many
  /// there are. CALM_FAILED for an empty prompt, CALM_INVALID_ARGUMENT for unknown tokens,
  /// CALM_CANCELLED when `cancelled` answers true, CALM_DIVERGED when the model's logits are not
  /// finite.
  std::vector<Candidate> generate(std::span<const text::Token> prompt, std::int64_t candidates,
                                  const Sampling &sampling, const std::vector<std::string> &stops,
                                  const std::function<bool()> &cancelled = {});

  /// Reads a prompt. Errors as in generate().
  Prefix read(std::span<const text::Token> prompt);
  /// Reads on where `prefix` ends, at a cost by the number of `more` alone: an interactive line
  /// grows by what was typed. The same state as reading all at once, to rounding.
  void extend(Prefix &prefix, std::span<const text::Token> more);
  /// A deep copy, to come back to after an extension.
  Prefix copy(const Prefix &prefix);
  /// Log-probabilities up to a constant of what follows, [V].
  std::vector<float> logits(const Prefix &prefix) const;
  /// Continues what was read; `prefix` stays as it is.
  std::vector<Candidate> generate(const Prefix &prefix, std::int64_t candidates,
                                  const Sampling &sampling, const std::vector<std::string> &stops,
                                  const std::function<bool()> &cancelled = {});

  /// Steps started before their tokens are read back, 1 to kMaxStepsPerRead: where a read waits for
  /// a queue, a few at once keep it full, and what was sampled beyond a candidate's end is dropped.
  /// No result depends on it. At first 1 on a device that works in the host's memory, else 8.
  void set_steps_per_read(std::int64_t steps);
  static constexpr std::int64_t kMaxStepsPerRead = 64;

 private:
  struct Decode;
  /// A tensor of the decode state of one sequence: its place in Prefix::state_.
  struct Part {
    std::string name;
    std::uint64_t offset, bytes;
  };
  Decode &decode_programs(std::int64_t sequences);
  run::Stage &prefill_program(std::int64_t bucket, bool with_state);
  Prefix blank();
  void feed(Prefix &prefix, std::span<const text::Token> tokens, std::int64_t bucket,
            bool with_state);
  void fan_out(const Prefix &prefix, Decode &decode, std::int64_t candidates);
  void decode(Decode &decode, std::vector<Follower> &followers, const Sampling &sampling,
              const std::vector<std::string> &stops, const std::function<bool()> &cancelled) const;

  run::LoadedModel *loaded_;
  run::Session *session_;
  run::Buffer weights_;
  run::SlotBuffers shared_{};
  std::int64_t steps_per_read_ = 1;
  std::vector<Part> parts_;
  std::map<std::pair<std::int64_t, bool>, std::unique_ptr<run::Stage>> prefills_;  // bucket, state
  std::map<std::int64_t, std::unique_ptr<Decode>> decodes_;  // by number of sequences
};

}  // namespace calm::generate
