#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/run/stage.hpp"
#include "core/text/tokenizer.hpp"

// The programs of a generator, each with the places it is fed and read at: what does not change
// from call to call is looked up once.
namespace calm::generate {

/// A tensor of the decode state of one sequence, and its place in Prefix's buffer.
struct StatePart {
  std::string name;
  std::uint64_t offset = 0, bytes = 0;
};
/// All of them, as a program that leaves a state declares them.
std::vector<StatePart> state_parts(const graph::Program &program);

/// A copy between a prefix's buffer and a program's state slot.
struct StateMove {
  std::uint64_t prefix = 0, program = 0, bytes = 0;
};
/// What brings the state of one sequence to sequence `index` of a program; tensors that lie in both
/// in the same way go as one.
std::vector<StateMove> state_moves(const graph::Program &program,
                                   const std::vector<StatePart> &parts, std::uint64_t index);

/// A prefill of one sequence, from nothing or from a state.
class ReadProgram {
 public:
  ReadProgram(run::Session &session, graph::Graph graph, const run::SlotBuffers &shared,
              std::int64_t bucket, const std::vector<StatePart> *parts);

  const graph::Program &program() const { return stage_.program().program(); }
  std::uint64_t logits_bytes() const { return logits_->bytes; }
  /// Reads at most a bucket of tokens on from `from` (null: from nothing) into `state`, which may
  /// be the same buffer, and `logits`.
  void run(std::span<const text::Token> tokens, const run::Buffer *from, run::Buffer &state,
           run::Buffer &logits);

 private:
  run::Stage stage_;
  std::vector<StateMove> moves_;
  const graph::Binding *tokens_, *offsets_, *logits_;
  std::vector<std::int32_t> rows_;
};

/// Sampling from logits and the step that goes on from there, for some number of sequences.
class StepProgram {
 public:
  /// Steps whose tokens it can hold back.
  static constexpr std::int64_t kMostRows = 64;

  StepProgram(run::Session &session, graph::Graph sample, graph::Graph step,
              const run::SlotBuffers &shared, const std::vector<StatePart> &parts,
              std::uint64_t sequences);

  run::StepBlock &sample_values() { return sample_.step(); }
  run::StepBlock &step_values() { return step_.step(); }
  /// Every sequence starts from the same state and the same logits.
  void start_from(const run::Buffer &state, const run::Buffer &logits);
  /// Draws the first token of each sequence.
  void first(std::vector<std::int32_t> &ids, std::vector<float> &log_probs);
  /// `rows` steps, the draws of each told apart by micro_step, which counts on; their tokens and
  /// log-probabilities, a row of sequences a step. Tokens stay on the device, where the next step
  /// finds them.
  void steps(std::int64_t rows, std::int64_t &micro_step, std::vector<std::int32_t> &ids,
             std::vector<float> &log_probs);

 private:
  void one_step(std::int64_t micro_step, std::vector<std::int32_t> &ids,
                std::vector<float> &log_probs);

  run::Session *session_;
  run::Stage sample_, step_;
  std::vector<std::vector<StateMove>> moves_;  // by sequence
  const graph::Binding *logits_, *ids_, *log_probs_;
  run::StepBlock::Place micro_step_;
  std::uint64_t sequences_;
  run::Buffer held_ids_, held_log_probs_;  // of steps not yet read; made when needed
};

}  // namespace calm::generate
