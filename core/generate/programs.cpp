#include "core/generate/programs.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace calm::generate {

using graph::Slot;

namespace {

constexpr std::uint64_t kAlign = 256;  // of tensors in a slot

}  // namespace

std::vector<StatePart> state_parts(const graph::Program &program) {
  std::vector<StatePart> parts;
  std::uint64_t offset = 0;
  for (const graph::Binding &b : program.bindings()) {
    if (b.slot == Slot::kState) {
      parts.push_back({b.name, offset, b.bytes});
      offset += (b.bytes + kAlign - 1) / kAlign * kAlign;
    }
  }
  return parts;
}

std::vector<StateMove> state_moves(const graph::Program &program,
                                   const std::vector<StatePart> &parts, std::uint64_t index) {
  std::vector<StateMove> moves;
  for (const StatePart &part : parts) {
    const StateMove move = {part.offset,
                            program.binding(Slot::kState, part.name).offset + index * part.bytes,
                            part.bytes};
    if (!moves.empty()) {
      StateMove &last = moves.back();
      const std::uint64_t distance = move.prefix - last.prefix;
      // Nothing but padding fits between them.
      if (move.program - last.program == distance && distance - last.bytes < kAlign) {
        last.bytes = distance + move.bytes;
        continue;
      }
    }
    moves.push_back(move);
  }
  return moves;
}

ReadProgram::ReadProgram(run::Session &session, graph::Graph graph, const run::SlotBuffers &shared,
                         std::int64_t bucket, const std::vector<StatePart> *parts)
    : stage_(session, std::move(graph), shared),
      moves_(state_moves(program(), parts == nullptr ? state_parts(program()) : *parts, 0)),
      tokens_(&stage_.binding(Slot::kInput, "tokens")),
      offsets_(&stage_.binding(Slot::kInput, "offsets")),
      logits_(&stage_.binding(Slot::kOutput, "logits")),
      rows_(static_cast<std::size_t>(bucket)) {}

void ReadProgram::run(std::span<const text::Token> tokens, const run::Buffer *from,
                      run::Buffer &state, run::Buffer &logits) {
  rows_.assign(rows_.size(), text::kPad);
  std::copy(tokens.begin(), tokens.end(), rows_.begin());
  stage_.write(*tokens_, rows_.data());
  const std::array<std::int32_t, 2> offsets = {0, static_cast<std::int32_t>(tokens.size())};
  stage_.write(*offsets_, offsets.data());
  if (from != nullptr) {
    for (const StateMove &move : moves_) {
      stage_.state().copy_from(move.program, *from, move.prefix, move.bytes);
    }
  }
  stage_.run();
  for (const StateMove &move : moves_) {
    state.copy_from(move.prefix, stage_.state(), move.program, move.bytes);
  }
  logits.copy_from(0, stage_.output(), logits_->offset, logits_->bytes);
}

StepProgram::StepProgram(run::Session &session, graph::Graph sample, graph::Graph step,
                         const run::SlotBuffers &shared, const std::vector<StatePart> &parts,
                         std::uint64_t sequences)
    : session_(&session),
      sample_(session, std::move(sample), shared),
      step_(session, std::move(step), shared),
      logits_(&sample_.binding(Slot::kInput, "logits")),
      ids_(&step_.binding(Slot::kState, "ids")),
      log_probs_(&step_.binding(Slot::kOutput, "log_prob")),
      micro_step_(step_.step().place("micro_step")),
      sequences_(sequences) {
  for (std::uint64_t i = 0; i < sequences; ++i) {
    moves_.push_back(state_moves(step_.program().program(), parts, i));
  }
}

void StepProgram::start_from(const run::Buffer &state, const run::Buffer &logits) {
  const std::uint64_t row = logits_->bytes / sequences_;
  for (std::uint64_t i = 0; i < sequences_; ++i) {
    sample_.input().copy_from(logits_->offset + i * row, logits, 0, row);
    for (const StateMove &move : moves_[i]) {
      step_.state().copy_from(move.program, state, move.prefix, move.bytes);
    }
  }
}

void StepProgram::first(std::vector<std::int32_t> &ids, std::vector<float> &log_probs) {
  sample_.run();
  sample_.read("ids", ids);
  sample_.read("log_prob", log_probs);
  step_.state().write(ids_->offset, ids.data(), ids_->bytes);
}

// Read at once from where the program leaves them.
void StepProgram::one_step(std::int64_t micro_step, std::vector<std::int32_t> &ids,
                           std::vector<float> &log_probs) {
  step_.step().set_integer(micro_step_, micro_step);
  step_.program().start();  // a read waits for it
  step_.state().read(ids_->offset, ids.data(), ids_->bytes);
  step_.output().read(log_probs_->offset, log_probs.data(), log_probs_->bytes);
}

void StepProgram::steps(std::int64_t rows, std::int64_t &micro_step, std::vector<std::int32_t> &ids,
                        std::vector<float> &log_probs) {
  ids.resize(sequences_ * static_cast<std::size_t>(rows));
  log_probs.resize(ids.size());
  if (rows == 1) {
    one_step(++micro_step, ids, log_probs);
    return;
  }
  if (!held_ids_) {
    held_ids_ = run::Buffer(*session_, ids_->bytes * kMostRows);
    held_log_probs_ = run::Buffer(*session_, log_probs_->bytes * kMostRows);
  }
  std::uint64_t fence = 0;
  for (std::uint64_t row = 0; row < static_cast<std::uint64_t>(rows); ++row) {
    step_.step().set_integer(micro_step_, ++micro_step);
    fence = step_.program().start();
    held_ids_.copy_from(row * ids_->bytes, step_.state(), ids_->offset, ids_->bytes);
    held_log_probs_.copy_from(row * log_probs_->bytes, step_.output(), log_probs_->offset,
                              log_probs_->bytes);
  }
  step_.program().wait(fence);
  held_ids_.read(0, ids.data(), ids.size() * sizeof(std::int32_t));
  held_log_probs_.read(0, log_probs.data(), log_probs.size() * sizeof(float));
}

}  // namespace calm::generate
