#include "core/generate/generator.hpp"

#include <algorithm>

#include <calm/cpp/error.hpp>

#include "core/run/buckets.hpp"
#include "core/text/stop.hpp"

namespace calm::generate {

using graph::Slot;
using run::Stage;

namespace {

// Follows one candidate: what of the sampled tokens it keeps, and when it ends (spec D.3).
class Follower {
 public:
  Follower(std::int64_t prompt, std::int64_t l_max, std::int64_t max_tokens)
      : length_(prompt), l_max_(l_max), left_(max_tokens) {
    settle();
  }
  bool done() const { return done_; }
  void take(text::Token next, double log_prob, const std::vector<std::string> &stops) {
    if (done_) {
      return;
    }
    candidate.score += log_prob;
    --left_;
    if (next == text::kPad || next == text::kEos) {
      end(StopReason::kEos);
    } else if (text::check_stop(candidate.ids, next, stops)) {
      end(StopReason::kStop);
    } else {
      candidate.ids.push_back(next);
      ++length_;
      settle();
    }
  }

  Candidate candidate;

 private:
  void end(StopReason reason) {
    candidate.stop = reason;
    done_ = true;
  }
  void settle() {
    if (left_ <= 0) {
      end(StopReason::kLength);
    } else if (length_ >= l_max_) {
      end(StopReason::kLMax);
    }
  }

  std::int64_t length_, l_max_, left_;
  bool done_ = false;
};

void set_sampling(run::StepBlock &block, const Sampling &sampling, std::int64_t micro_step) {
  constexpr std::int64_t kAll = 320;  // a larger top_k keeps everything too
  block.set("temperature", sampling.temperature);
  block.set_integer("top_k", std::clamp<std::int64_t>(sampling.top_k, 0, kAll));
  block.set("top_p", sampling.top_p);
  block.set("min_p", sampling.min_p);
  block.set_integer("seed", static_cast<std::int64_t>(sampling.seed));
  block.set_integer("micro_step", micro_step);
}

}  // namespace

struct Generator::Decode {
  Stage sample, step;
};

std::string_view stop_name(StopReason reason) {
  switch (reason) {
    case StopReason::kEos:
      return "eos";
    case StopReason::kStop:
      return "stop";
    case StopReason::kLength:
      return "length";
    case StopReason::kLMax:
      return "l_max";
  }
  return "length";
}

Generator::Generator(run::LoadedModel &loaded, run::Session &session)
    : loaded_(&loaded), session_(&session), weights_(session, loaded.weights->flat().size_bytes()) {
  run::slot_of(shared_, Slot::kWeights) = &weights_;
  loaded.weights->write_to(weights_);
}

Generator::~Generator() = default;

Generator::Decode &Generator::decode_programs(std::int64_t sequences) {
  std::unique_ptr<Decode> &decode = decodes_[sequences];
  if (!decode) {
    decode.reset(new Decode{{*session_, loaded_->model->sample(sequences), shared_},
                            {*session_, loaded_->model->step(sequences), shared_}});
  }
  return *decode;
}

// Runs the prompt's last l_max tokens and fans its decode state out to every candidate. Returns the
// logits of the last row.
std::vector<float> Generator::prefill(std::span<const text::Token> prompt, Decode &decode) {
  const auto l_max = static_cast<std::size_t>(loaded_->model->l_max());
  if (prompt.size() > l_max) {
    prompt = prompt.last(l_max);
  }
  const std::int64_t bucket = run::bucket_tokens(static_cast<std::int64_t>(prompt.size()));
  std::unique_ptr<Stage> &stage = prefills_[bucket];
  if (!stage) {
    stage = std::make_unique<Stage>(
        *session_, loaded_->model->prefill({bucket, 1, std::min(bucket, loaded_->model->l_max())}),
        shared_);
  }
  std::vector<std::int32_t> tokens(prompt.begin(), prompt.end());
  const std::vector<std::int32_t> offsets = {0, static_cast<std::int32_t>(tokens.size())};
  tokens.resize(static_cast<std::size_t>(bucket), text::kPad);
  stage->write("tokens", tokens);
  stage->write("offsets", offsets);
  stage->run();
  for (const graph::Binding &to : decode.step.program().program().bindings()) {
    if (to.slot != Slot::kState || to.name == "ids") {
      continue;
    }
    const graph::Binding &from = stage->binding(Slot::kState, to.name);
    for (std::uint64_t offset = 0; offset < to.bytes; offset += from.bytes) {
      decode.step.state().copy_from(to.offset + offset, stage->state(), from.offset, from.bytes);
    }
  }
  std::vector<float> logits;
  stage->read("logits", logits);
  return logits;
}

std::vector<Candidate> Generator::generate(std::span<const text::Token> prompt,
                                           std::int64_t candidates, const Sampling &sampling,
                                           const std::vector<std::string> &stops,
                                           const std::function<bool()> &cancelled) {
  if (prompt.empty()) {
    throw Error(CALM_FAILED, "the prompt is empty: expected at least one token");
  }
  for (const text::Token id : prompt) {
    if (id < 0 || id >= text::kVocabSize) {
      throw Error(CALM_INVALID_ARGUMENT,
                  "prompt: expected token ids 0 to 319, found " + std::to_string(id));
    }
  }
  std::vector<Follower> followers(static_cast<std::size_t>(std::max<std::int64_t>(candidates, 0)),
                                  Follower(static_cast<std::int64_t>(prompt.size()),
                                           loaded_->model->l_max(), sampling.max_tokens));
  const auto all_done = [&followers] {
    return std::all_of(followers.begin(), followers.end(),
                       [](const Follower &f) { return f.done(); });
  };
  if (!all_done()) {
    Decode &decode = decode_programs(candidates);
    const std::vector<float> last = prefill(prompt, decode);
    std::vector<float> logits;
    for (std::int64_t i = 0; i < candidates; ++i) {
      logits.insert(logits.end(), last.begin(), last.end());
    }
    decode.sample.write("logits", logits);
    std::vector<std::int32_t> ids;
    std::vector<float> log_probs;
    set_sampling(decode.sample.step(), sampling, 0);
    decode.sample.run();
    decode.sample.read("ids", ids);
    decode.sample.read("log_prob", log_probs);
    const graph::Binding &state = decode.step.binding(Slot::kState, "ids");
    decode.step.state().write(state.offset, ids.data(), state.bytes);
    for (std::int64_t micro_step = 1;; ++micro_step) {
      for (std::size_t i = 0; i < followers.size(); ++i) {
        followers[i].take(ids[i], static_cast<double>(log_probs[i]), stops);
      }
      if (all_done()) {
        break;
      }
      if (cancelled && cancelled()) {
        throw Error(CALM_CANCELLED, "stopped while generating");
      }
      set_sampling(decode.step.step(), sampling, micro_step);
      decode.step.run();
      decode.step.state().read(state.offset, ids.data(), state.bytes);
      decode.step.read("log_prob", log_probs);
    }
  }
  std::vector<Candidate> result;
  for (Follower &f : followers) {
    result.push_back(std::move(f.candidate));
  }
  return result;
}

}  // namespace calm::generate
