// Reading a prompt, greedy decoding of 1, 8 and 64 sequences, and embedding, per preset.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/common.hpp"
#include "core/generate/generator.hpp"
#include "core/run/embedder.hpp"

namespace calm::bench {
namespace {

std::vector<text::Token> prompt(std::int64_t length) {
  std::vector<text::Token> ids(static_cast<std::size_t>(length), 'a');
  ids[0] = text::kBos;
  return ids;
}

void decode(benchmark::State &state, const Size &size, std::int64_t sequences) {
  run::LoadedModel loaded = preset_model(size.preset);
  generate::Generator generator(loaded, *machine().session);
  const generate::Prefix prefix = generator.read(prompt(4));
  generate::Sampling sampling;
  sampling.temperature = 0;
  sampling.max_tokens = 256;
  generator.generate(prefix, sequences, sampling, {});  // compiles
  double generated = 0;
  const Stopwatch watch;
  for ([[maybe_unused]] auto _ : state) {
    for (const generate::Candidate &c : generator.generate(prefix, sequences, sampling, {})) {
      generated += static_cast<double>(c.ids.size());
    }
  }
  const double seconds = watch.seconds();
  // One sequence is a matter of one core: threads would wait for each other more than they help.
  const Rates &rates = measured_rates(sequences == 1 ? 1 : machine().threads);
  const double tokens = generated / static_cast<double>(state.iterations());
  Limit limit =
      decode_limit(work_of(loaded.model->config()), rates, static_cast<double>(sequences));
  for (Limit::Part &part : limit.parts) {
    part.seconds *= tokens / static_cast<double>(sequences);
  }
  report(state, tokens, limit, seconds);
}

void prefill(benchmark::State &state, const Size &size, std::int64_t tokens) {
  run::LoadedModel loaded = preset_model(size.preset);
  generate::Generator generator(loaded, *machine().session);
  const std::vector<text::Token> ids = prompt(tokens);
  generator.read(ids);  // compiles
  const Stopwatch watch;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(generator.read(ids));
  }
  const double seconds = watch.seconds();
  const auto count = static_cast<double>(tokens);
  report(state, count,
         read_limit(work_of(loaded.model->config()), measured_rates(machine().threads), count, 1),
         seconds);
}

void embed(benchmark::State &state, const Size &size) {
  const run::LoadedModel loaded = preset_model(size.preset);
  run::Embedder embedder(*machine().session, *loaded.model, *loaded.weights, {});
  const data::Dataset texts = dictionary_like(64);
  std::vector<std::vector<std::int32_t>> sequences;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    sequences.emplace_back(texts.sequence(i).begin(), texts.sequence(i).end());
  }
  embedder.embed(sequences);  // compiles
  const Stopwatch watch;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(embedder.embed(sequences));
  }
  const double seconds = watch.seconds();
  const auto tokens = static_cast<double>(texts.tokens.size());
  report(state, tokens,
         read_limit(work_of(loaded.model->config()), measured_rates(machine().threads), tokens, 0),
         seconds);
}

void add(const std::string &name, std::function<void(benchmark::State &)> run) {
  add_case(name, std::move(run))->Unit(benchmark::kMillisecond)->UseRealTime();
}

}  // namespace

void add_generate_cases() {
  for (const Size &size : kSizes) {
    const std::string name = std::string("generate_tokens/") + size.preset;
    for (const std::int64_t sequences : {1, 8, 64}) {
      add(fmt::format("{}_decode_256{}", name,
                      sequences == 1 ? "" : fmt::format("_of_{}", sequences)),
          [=](benchmark::State &state) { decode(state, size, sequences); });
    }
    for (const std::int64_t tokens : {16, 64, 256}) {
      add(fmt::format("{}_prefill_{}", name, tokens),
          [=](benchmark::State &state) { prefill(state, size, tokens); });
    }
    add(std::string("embed/") + size.preset, [=](benchmark::State &state) { embed(state, size); });
  }
}

}  // namespace calm::bench
