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
#include "core/generate/programs.hpp"
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
  /// Of device memory.
  std::uint64_t bytes() const { return state_.bytes() + logits_.bytes(); }

 private:
  friend class Generator;
  friend class PrefixCache;
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

  /// Compiles what generate() needs for a prompt of this many tokens, which would else be done
  /// there.
  void prepare(std::int64_t prompt, std::int64_t candidates);

  /// Reads a prompt. Errors as in generate().
  Prefix read(std::span<const text::Token> prompt);
  /// Reads on where `prefix` ends, at a cost by the number of `more` alone: an interactive line
  /// grows by what was typed. The same state as reading all at once, to rounding.
  void extend(Prefix &prefix, std::span<const text::Token> more);
  /// Tokens read so far by read() and extend(); those drawn are not counted.
  std::uint64_t tokens_read() const { return tokens_read_; }
  std::int64_t l_max() const { return loaded_->model->l_max(); }
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
  static constexpr std::int64_t kMaxStepsPerRead = StepProgram::kMostRows;

 private:
  friend class PrefixCache;
  static void check_prompt(std::span<const text::Token> prompt);
  StepProgram &step_program(std::int64_t sequences);
  ReadProgram &read_program(std::int64_t bucket, bool with_state);
  /// Reads into `into`, whose memory is used again where it has some; null: from nothing.
  void read_on(const Prefix *from, std::span<const text::Token> tokens, Prefix &into);
  Prefix blank();
  void decode(StepProgram &program, std::vector<Follower> &followers, const Sampling &sampling,
              const std::vector<std::string> &stops, const std::function<bool()> &cancelled) const;

  run::LoadedModel *loaded_;
  run::Session *session_;
  run::Buffer weights_;
  run::SlotBuffers shared_{};
  std::int64_t steps_per_read_ = 1;
  std::uint64_t tokens_read_ = 0;
  std::vector<StatePart> parts_;    // of what a prefix keeps, from the first program on
  std::uint64_t logits_bytes_ = 0;  // likewise
  std::map<std::pair<std::int64_t, bool>, std::unique_ptr<ReadProgram>> reads_;  // bucket, state
  std::map<std::int64_t, std::unique_ptr<StepProgram>> steps_;  // by number of sequences
};

}  // namespace calm::generate
