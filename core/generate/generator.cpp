#include "core/generate/generator.hpp"

#include <algorithm>
#include <cmath>

#include <calm/cpp/error.hpp>

#include "core/run/buckets.hpp"

namespace calm::generate {

namespace {

// All but the number of the step, 0 at the first.
void set_sampling(run::StepBlock &block, const Sampling &sampling) {
  constexpr std::int64_t kAll = run::LanguageModel::kVocab;  // a larger top_k keeps everything too
  block.set("temperature", sampling.temperature);
  block.set_integer("top_k", std::clamp<std::int64_t>(sampling.top_k, 0, kAll));
  block.set("top_p", sampling.top_p);
  block.set("min_p", sampling.min_p);
  block.set_integer("seed", static_cast<std::int64_t>(sampling.seed));
  block.set_integer("micro_step", 0);
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

Generator::Generator(run::LoadedModel &loaded, run::Session &session)
    : loaded_(&loaded),
      session_(&session),
      weights_(session, loaded.weights->flat().size_bytes()),
      steps_per_read_(works_in_host_memory(session.backend()) ? 1 : 8) {
  run::slot_of(shared_, graph::Slot::kWeights) = &weights_;
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

StepProgram &Generator::step_program(std::int64_t sequences) {
  std::unique_ptr<StepProgram> &program = steps_[sequences];
  if (!program) {
    const run::LanguageModel &model = *loaded_->model;
    program =
        std::make_unique<StepProgram>(*session_, model.sample(sequences), model.step(sequences),
                                      shared_, parts_, static_cast<std::uint64_t>(sequences));
  }
  return *program;
}

ReadProgram &Generator::read_program(std::int64_t bucket, bool with_state) {
  std::unique_ptr<ReadProgram> &program = reads_[{bucket, with_state}];
  if (!program) {
    const std::int64_t longest = std::min(bucket, l_max());
    program = std::make_unique<ReadProgram>(
        *session_, loaded_->model->prefill({bucket, 1, longest}, false, with_state), shared_,
        bucket, parts_.empty() ? nullptr : &parts_);
    if (parts_.empty()) {
      parts_ = state_parts(program->program());
      logits_bytes_ = program->logits_bytes();
    }
  }
  return *program;
}

void Generator::check_prompt(std::span<const text::Token> prompt) {
  if (prompt.empty()) {
    throw Error(CALM_FAILED, "the prompt is empty: expected at least one token");
  }
  check_tokens(prompt);
}

Prefix Generator::blank() {
  Prefix prefix;
  prefix.state_ = run::Buffer(*session_, parts_.back().offset + parts_.back().bytes);
  prefix.logits_ = run::Buffer(*session_, logits_bytes_);
  return prefix;
}

void Generator::read_on(const Prefix *from, std::span<const text::Token> tokens, Prefix &into) {
  const std::int64_t bucket = from == nullptr
                                  ? run::bucket_tokens(static_cast<std::int64_t>(tokens.size()))
                                  : extension_bucket(tokens.size());
  ReadProgram &program = read_program(bucket, from != nullptr);
  if (!into.state_) {
    into = blank();
  }
  const std::int64_t before = from == nullptr ? 0 : from->length_;
  program.run(tokens, from == nullptr ? nullptr : &from->state_, into.state_, into.logits_);
  into.length_ = before + static_cast<std::int64_t>(tokens.size());
  tokens_read_ += tokens.size();
}

void Generator::prepare(std::int64_t prompt, std::int64_t candidates) {
  if (prompt > 0 && candidates > 0) {
    read_program(run::bucket_tokens(std::min(prompt, l_max())), false);
    step_program(candidates);
  }
}

Prefix Generator::read(std::span<const text::Token> prompt) {
  check_prompt(prompt);
  // Of a longer one the model sees the end (spec E.8).
  const auto seen = std::min(prompt.size(), static_cast<std::size_t>(l_max()));
  Prefix prefix;
  read_on(nullptr, prompt.last(seen), prefix);
  prefix.length_ = static_cast<std::int64_t>(prompt.size());
  return prefix;
}

void Generator::extend(Prefix &prefix, std::span<const text::Token> more) {
  check_tokens(more);
  const auto longest = static_cast<std::size_t>(l_max());
  while (!more.empty()) {
    const std::span<const text::Token> piece = more.first(std::min(more.size(), longest));
    read_on(&prefix, piece, prefix);
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

// Samples the first tokens from the prefix's logits, then one a step.
void Generator::decode(StepProgram &program, std::vector<Follower> &followers,
                       const Sampling &sampling, const std::vector<std::string> &stops,
                       const std::function<bool()> &cancelled) const {
  set_sampling(program.sample_values(), sampling);
  set_sampling(program.step_values(), sampling);
  std::vector<std::int32_t> ids;
  std::vector<float> log_probs;
  program.first(ids, log_probs);
  std::int64_t micro_step = 0;
  for (;;) {
    take(followers, ids, log_probs, stops, *session_);
    const std::int64_t rows = std::min(steps_per_read_, most_left(followers));
    if (rows == 0) {
      return;
    }
    if (cancelled && cancelled()) {
      throw Error(CALM_CANCELLED, "stopped while generating");
    }
    program.steps(rows, micro_step, ids, log_probs);
  }
}

std::vector<Candidate> Generator::generate(const Prefix &prefix, std::int64_t candidates,
                                           const Sampling &sampling,
                                           const std::vector<std::string> &stops,
                                           const std::function<bool()> &cancelled) {
  std::vector<Follower> followers(static_cast<std::size_t>(std::max<std::int64_t>(candidates, 0)),
                                  Follower(prefix.length_, l_max(), sampling.max_tokens));
  if (most_left(followers) > 0) {
    StepProgram &program = step_program(candidates);
    program.start_from(prefix.state_, prefix.logits_);
    decode(program, followers, sampling, stops, cancelled);
  }
  return candidates_of(followers);
}

std::vector<Candidate> Generator::generate(std::span<const text::Token> prompt,
                                           std::int64_t candidates, const Sampling &sampling,
                                           const std::vector<std::string> &stops,
                                           const std::function<bool()> &cancelled) {
  check_prompt(prompt);
  const std::vector<Follower> followers(
      static_cast<std::size_t>(std::max<std::int64_t>(candidates, 0)),
      Follower(static_cast<std::int64_t>(prompt.size()), l_max(), sampling.max_tokens));
  if (most_left(followers) == 0) {
    return candidates_of(followers);  // nothing to read the prompt for
  }
  return generate(read(prompt), candidates, sampling, stops, cancelled);
}

}  // namespace calm::generate
