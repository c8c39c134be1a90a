#include "core/generate/generator.hpp"

#include <algorithm>
#include <cmath>

#include <calm/cpp/error.hpp>

#include "core/run/buckets.hpp"

namespace calm::generate {

using graph::Slot;
using run::Stage;

namespace {

void set_sampling(run::StepBlock &block, const Sampling &sampling, std::int64_t micro_step) {
  constexpr std::int64_t kAll = run::LanguageModel::kVocab;  // a larger top_k keeps everything too
  block.set("temperature", sampling.temperature);
  block.set_integer("top_k", std::clamp<std::int64_t>(sampling.top_k, 0, kAll));
  block.set("top_p", sampling.top_p);
  block.set("min_p", sampling.min_p);
  block.set_integer("seed", static_cast<std::int64_t>(sampling.seed));
  block.set_integer("micro_step", micro_step);
}

bool works_in_host_memory(const calm_backend &backend) {
  calm_device device{};
  calm_error error{};
  return backend.device(0, &device, &error) == CALM_OK && device.memory == 0;
}

void check_tokens(std::span<const text::Token> tokens) {
  for (const text::Token id : tokens) {
    if (id < 0 || id >= text::kVocabSize) {
      throw Error(CALM_INVALID_ARGUMENT,
                  "prompt: expected token ids 0 to 319, found " + std::to_string(id));
    }
  }
}

// Rows of the program that reads `count` tokens on: a key typed costs a row, not a bucket.
std::int64_t extension_bucket(std::size_t count) {
  return count <= 1 ? 1 : count <= 8 ? 8 : run::bucket_tokens(static_cast<std::int64_t>(count));
}

std::vector<Candidate> candidates_of(const std::vector<Follower> &followers) {
  std::vector<Candidate> result;
  result.reserve(followers.size());
  for (const Follower &f : followers) {
    result.push_back(f.candidate());
  }
  return result;
}

std::int64_t most_left(const std::vector<Follower> &followers) {
  std::int64_t most = 0;
  for (const Follower &f : followers) {
    most = std::max(most, f.left());
  }
  return most;
}

// What a backend gives is not taken on trust: ids are looked up, scores are shown. What was sampled
// for a candidate that has ended is nobody's business.
void take(std::vector<Follower> &followers, const std::vector<std::int32_t> &ids,
          const std::vector<float> &log_probs, const std::vector<std::string> &stops,
          const run::Session &session) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    Follower &follower = followers[i % followers.size()];
    if (follower.done()) {
      continue;
    }
    if (!std::isfinite(log_probs[i])) {
      throw Error(CALM_DIVERGED, session.who() + ": token " +
                                     std::to_string(follower.candidate().ids.size() + 1) +
                                     ": the model's output is not finite");
    }
    if (ids[i] < 0 || ids[i] >= run::LanguageModel::kVocab) {
      throw Error(CALM_INTERNAL, session.who() + ": sampled a token that does not exist");
    }
    follower.take(ids[i], static_cast<double>(log_probs[i]), stops);
  }
}

}  // namespace

struct Generator::Decode {
  Stage sample, step;
  // Ids and log-probabilities of the steps not yet read, one row of each a step.
  run::Buffer ids, log_probs;
};

Generator::Generator(run::LoadedModel &loaded, run::Session &session)
    : loaded_(&loaded),
      session_(&session),
      weights_(session, loaded.weights->flat().size_bytes()),
      steps_per_read_(works_in_host_memory(session.backend()) ? 1 : 8) {
  run::slot_of(shared_, Slot::kWeights) = &weights_;
  loaded.weights->write_to(weights_);
}

Generator::~Generator() = default;

void Generator::set_steps_per_read(std::int64_t steps) {
  if (steps < 1 || steps > kMaxStepsPerRead) {
    throw Error(CALM_INVALID_ARGUMENT, "steps per read: expected 1 to " +
                                           std::to_string(kMaxStepsPerRead) + ", found " +
                                           std::to_string(steps));
  }
  steps_per_read_ = steps;
}

Generator::Decode &Generator::decode_programs(std::int64_t sequences) {
  std::unique_ptr<Decode> &decode = decodes_[sequences];
  if (!decode) {
    // NOLINTNEXTLINE(modernize-make-unique): an aggregate of parts that do not move
    decode.reset(new Decode{{*session_, loaded_->model->sample(sequences), shared_},
                            {*session_, loaded_->model->step(sequences), shared_},
                            {},
                            {}});
    decode->ids =
        run::Buffer(*session_, decode->step.binding(Slot::kState, "ids").bytes * kMaxStepsPerRead);
    decode->log_probs = run::Buffer(
        *session_, decode->step.binding(Slot::kOutput, "log_prob").bytes * kMaxStepsPerRead);
  }
  return *decode;
}

run::Stage &Generator::prefill_program(std::int64_t bucket, bool with_state) {
  std::unique_ptr<Stage> &stage = prefills_[{bucket, with_state}];
  if (!stage) {
    const std::int64_t longest = std::min(bucket, loaded_->model->l_max());
    stage = std::make_unique<Stage>(
        *session_, loaded_->model->prefill({bucket, 1, longest}, false, with_state), shared_);
    if (parts_.empty()) {
      std::uint64_t offset = 0;
      for (const graph::Binding &b : stage->program().program().bindings()) {
        if (b.slot == Slot::kState) {
          parts_.push_back({b.name, offset, b.bytes});
          offset += (b.bytes + 255) / 256 * 256;
        }
      }
    }
  }
  return *stage;
}

Prefix Generator::blank() {
  Prefix prefix;
  prefix.state_ = run::Buffer(*session_, parts_.back().offset + parts_.back().bytes);
  prefix.logits_ =
      run::Buffer(*session_, run::LanguageModel::kVocab * dtype_bytes(loaded_->model->real()));
  return prefix;
}

// Runs one prefill of one sequence on the prefix's state.
void Generator::feed(Prefix &prefix, std::span<const text::Token> tokens, std::int64_t bucket,
                     bool with_state) {
  Stage &stage = prefill_program(bucket, with_state);
  if (!prefix.state_) {
    prefix = blank();
  }
  std::vector<std::int32_t> rows(tokens.begin(), tokens.end());
  rows.resize(static_cast<std::size_t>(bucket), text::kPad);
  stage.write("tokens", rows);
  stage.write("offsets", std::vector<std::int32_t>{0, static_cast<std::int32_t>(tokens.size())});
  for (const Part &part : parts_) {
    if (with_state) {
      const graph::Binding &to = stage.binding(Slot::kState, part.name);
      stage.state().copy_from(to.offset, prefix.state_, part.offset, part.bytes);
    }
  }
  stage.run();
  for (const Part &part : parts_) {
    const graph::Binding &from = stage.binding(Slot::kState, part.name);
    prefix.state_.copy_from(part.offset, stage.state(), from.offset, part.bytes);
  }
  const graph::Binding &logits = stage.binding(Slot::kOutput, "logits");
  prefix.logits_.copy_from(0, stage.output(), logits.offset, logits.bytes);
}

Prefix Generator::read(std::span<const text::Token> prompt) {
  if (prompt.empty()) {
    throw Error(CALM_FAILED, "the prompt is empty: expected at least one token");
  }
  check_tokens(prompt);
  // Of a longer one the model sees the end (spec E.8).
  const auto seen = std::min(prompt.size(), static_cast<std::size_t>(loaded_->model->l_max()));
  Prefix prefix;
  feed(prefix, prompt.last(seen), run::bucket_tokens(static_cast<std::int64_t>(seen)), false);
  prefix.length_ = static_cast<std::int64_t>(prompt.size());
  return prefix;
}

void Generator::extend(Prefix &prefix, std::span<const text::Token> more) {
  check_tokens(more);
  const auto longest = static_cast<std::size_t>(loaded_->model->l_max());
  while (!more.empty()) {
    const std::span<const text::Token> piece = more.first(std::min(more.size(), longest));
    feed(prefix, piece, extension_bucket(piece.size()), true);
    prefix.length_ += static_cast<std::int64_t>(piece.size());
    more = more.subspan(piece.size());
  }
}

Prefix Generator::copy(const Prefix &prefix) {
  Prefix out = blank();
  out.state_.copy_from(0, prefix.state_, 0, prefix.state_.bytes());
  out.logits_.copy_from(0, prefix.logits_, 0, prefix.logits_.bytes());
  out.length_ = prefix.length_;
  return out;
}

std::vector<float> Generator::logits(const Prefix &prefix) const {
  std::vector<float> values(run::LanguageModel::kVocab);
  prefix.logits_.read(0, values.data(), values.size() * sizeof(float));
  return values;
}

// Every candidate starts from the same state and the same logits.
void Generator::fan_out(const Prefix &prefix, Decode &decode, std::int64_t candidates) {
  const graph::Binding &logits = decode.sample.binding(Slot::kInput, "logits");
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(candidates); ++i) {
    decode.sample.input().copy_from(logits.offset + i * prefix.logits_.bytes(), prefix.logits_, 0,
                                    prefix.logits_.bytes());
    for (const Part &part : parts_) {
      const graph::Binding &to = decode.step.binding(Slot::kState, part.name);
      decode.step.state().copy_from(to.offset + i * part.bytes, prefix.state_, part.offset,
                                    part.bytes);
    }
  }
}

// Samples the first tokens from the prefix's logits, then one a step. Ids stay on the device, where
// the next step finds them.
void Generator::decode(Decode &decode, std::vector<Follower> &followers, const Sampling &sampling,
                       const std::vector<std::string> &stops,
                       const std::function<bool()> &cancelled) const {
  const std::size_t n = followers.size();
  const graph::Binding &state = decode.step.binding(Slot::kState, "ids");
  const graph::Binding &scores = decode.step.binding(Slot::kOutput, "log_prob");
  std::vector<std::int32_t> ids;
  std::vector<float> log_probs;
  set_sampling(decode.sample.step(), sampling, 0);
  decode.sample.run();
  decode.sample.read("ids", ids);
  decode.sample.read("log_prob", log_probs);
  decode.step.state().write(state.offset, ids.data(), state.bytes);
  std::int64_t micro_step = 0;
  std::int64_t rows = 1;
  for (;;) {
    take(followers, ids, log_probs, stops, *session_);
    rows = std::min(steps_per_read_, most_left(followers));
    if (rows == 0) {
      return;
    }
    if (cancelled && cancelled()) {
      throw Error(CALM_CANCELLED, "stopped while generating");
    }
    std::uint64_t fence = 0;
    for (std::uint64_t row = 0; row < static_cast<std::uint64_t>(rows); ++row) {
      set_sampling(decode.step.step(), sampling, ++micro_step);
      fence = decode.step.program().start();
      decode.ids.copy_from(row * state.bytes, decode.step.state(), state.offset, state.bytes);
      decode.log_probs.copy_from(row * scores.bytes, decode.step.output(), scores.offset,
                                 scores.bytes);
    }
    decode.step.program().wait(fence);
    ids.resize(n * static_cast<std::size_t>(rows));
    log_probs.resize(ids.size());
    decode.ids.read(0, ids.data(), ids.size() * sizeof(std::int32_t));
    decode.log_probs.read(0, log_probs.data(), log_probs.size() * sizeof(float));
  }
}

std::vector<Candidate> Generator::generate(const Prefix &prefix, std::int64_t candidates,
                                           const Sampling &sampling,
                                           const std::vector<std::string> &stops,
                                           const std::function<bool()> &cancelled) {
  std::vector<Follower> followers(
      static_cast<std::size_t>(std::max<std::int64_t>(candidates, 0)),
      Follower(prefix.length_, loaded_->model->l_max(), sampling.max_tokens));
  if (most_left(followers) > 0) {
    Decode &programs = decode_programs(candidates);
    fan_out(prefix, programs, candidates);
    decode(programs, followers, sampling, stops, cancelled);
  }
  return candidates_of(followers);
}

std::vector<Candidate> Generator::generate(std::span<const text::Token> prompt,
                                           std::int64_t candidates, const Sampling &sampling,
                                           const std::vector<std::string> &stops,
                                           const std::function<bool()> &cancelled) {
  if (prompt.empty()) {
    throw Error(CALM_FAILED, "the prompt is empty: expected at least one token");
  }
  check_tokens(prompt);
  const std::vector<Follower> followers(
      static_cast<std::size_t>(std::max<std::int64_t>(candidates, 0)),
      Follower(static_cast<std::int64_t>(prompt.size()), loaded_->model->l_max(),
               sampling.max_tokens));
  if (most_left(followers) == 0) {
    return candidates_of(followers);  // nothing to read the prompt for
  }
  return generate(read(prompt), candidates, sampling, stops, cancelled);
}

}  // namespace calm::generate
