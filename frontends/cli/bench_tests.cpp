#include "frontends/cli/bench_tests.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>

#include <calm/cpp/error.hpp>

#include "core/data/batch.hpp"
#include "core/generate/generator.hpp"
#include "core/generate/prefix_cache.hpp"
#include "core/run/embedder.hpp"
#include "core/train/stages.hpp"

namespace calm::cli {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void stop_if_asked(const BenchPlan &plan) {
  if (plan.cancelled()) {
    throw Error(CALM_CANCELLED, "stopped while measuring");
  }
}

// <BOS> and letters: what a text is does not matter, only how long it is.
template <class Id>
std::vector<Id> letters(std::int64_t tokens) {
  std::vector<Id> ids(static_cast<std::size_t>(tokens));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<Id>('a' + i * 7 % 26);
  }
  ids[0] = text::kBos;
  return ids;
}

// One run that compiles, then the samples.
template <class Work>
Timing repeat(Timing timing, const BenchPlan &plan, double tokens, const Work &work) {
  work();
  for (std::int64_t i = 0; i < plan.repetitions; ++i) {
    stop_if_asked(plan);
    const Clock::time_point start = Clock::now();
    work();
    timing.seconds.push_back(seconds_since(start));
    timing.tokens += tokens;
  }
  return timing;
}

}  // namespace

double Timing::tokens_per_second() const {
  return tokens / std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

double Timing::milliseconds(double share) const {
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  const double rank = std::ceil(share * static_cast<double>(sorted.size()));
  return 1e3 * sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

Timing time_prefill(run::LoadedModel &loaded, run::Session &session, const BenchPlan &plan,
                    std::int64_t tokens) {
  generate::Generator generator(loaded, session);
  const auto prompt = letters<text::Token>(tokens);
  return repeat({"prefill", tokens, 0, {}}, plan, static_cast<double>(tokens),
                [&] { generator.read(prompt); });
}

Timing time_decode(run::LoadedModel &loaded, run::Session &session, const BenchPlan &plan,
                   std::int64_t prompt, std::int64_t tokens) {
  generate::Generator generator(loaded, session);
  generator.set_steps_per_read(1);  // a person waits for each token
  const generate::Prefix prefix = generator.read(letters<text::Token>(prompt));
  Timing timing{"decode", tokens, 0, {}};
  generate::Sampling sampling;
  sampling.temperature = 0;
  sampling.max_tokens = 2;
  generator.generate(prefix, 1, sampling, {});  // compiles
  for (std::int64_t i = 0; i < plan.repetitions; ++i) {
    // The token that ends a text takes its time too, so every start gives a sample.
    for (std::size_t done = 0; done < static_cast<std::size_t>(tokens);) {
      stop_if_asked(plan);
      sampling.max_tokens = tokens - static_cast<std::int64_t>(done);
      const std::size_t before = timing.seconds.size();
      Clock::time_point last = Clock::now();
      const auto sample = [&] {
        timing.seconds.push_back(seconds_since(std::exchange(last, Clock::now())));
      };
      generator.generate(prefix, 1, sampling, {}, [&] {
        sample();
        return plan.cancelled();
      });
      sample();
      done += timing.seconds.size() - before;
    }
  }
  timing.tokens = static_cast<double>(timing.seconds.size());
  return timing;
}

Timing time_keystrokes(run::LoadedModel &loaded, run::Session &session, const BenchPlan &plan,
                       std::int64_t prompt, std::int64_t keys) {
  generate::Generator generator(loaded, session);
  const auto before_it = letters<text::Token>(prompt);
  const auto typed = letters<text::Token>(keys);
  Timing timing{"keystroke", keys, 0, {}};
  for (std::int64_t i = -1; i < plan.repetitions; ++i) {
    stop_if_asked(plan);
    // Another one for each line, or the keys would be known from the line before.
    generate::PrefixCache cache(generator);
    std::vector<text::Token> line = before_it;
    cache.read(line);
    for (const text::Token key : typed) {
      line.push_back(key);
      const Clock::time_point before = Clock::now();
      cache.read(line);
      if (i >= 0) {  // the first line compiles
        timing.seconds.push_back(seconds_since(before));
        timing.tokens += 1;
      }
    }
  }
  return timing;
}

Timing time_embed(run::LoadedModel &loaded, run::Session &session, const BenchPlan &plan,
                  std::int64_t tokens) {
  constexpr std::size_t kTexts = 32;
  run::Embedder embedder(session, *loaded.model, *loaded.weights, {});
  const std::vector<std::vector<std::int32_t>> texts(kTexts, letters<std::int32_t>(tokens));
  return repeat({"embed", tokens, 0, {}}, plan,
                static_cast<double>(kTexts) * static_cast<double>(tokens),
                [&] { embedder.embed(texts); });
}

Timing time_train(run::Runtime &runtime, run::LoadedModel &loaded, run::Session &session,
                  const BenchPlan &plan, const run::Values &training, std::int64_t tokens) {
  const std::int64_t batch_size = training.integer("batch_size");
  const auto sequence = letters<std::uint16_t>(tokens + 1);
  data::Dataset dataset;
  dataset.offsets.push_back(0);
  std::vector<std::uint32_t> all;
  for (std::int64_t i = 0; i < batch_size; ++i) {
    dataset.tokens.insert(dataset.tokens.end(), sequence.begin(), sequence.end());
    dataset.offsets.push_back(dataset.tokens.size());
    dataset.cmd_pos.push_back(0);
    all.push_back(static_cast<std::uint32_t>(i));
  }
  const data::Batch batch = data::pack(dataset, all, batch_size, loaded.model->l_max());
  const calm_trainer &trainer = runtime.plugins().trainer("next_token");
  train::Stages stages(session, *loaded.model, {&trainer, &training}, {});
  stages.upload(*loaded.weights);
  train::Stages::MicroBatch micro;  // a learning rate of 0: all the work and no change
  return repeat({"train", tokens, 0, {}}, plan, static_cast<double>(batch.rows), [&] {
    stages.train(batch, micro);
    stages.read_metrics();
    ++micro.t;
  });
}

}  // namespace calm::cli
