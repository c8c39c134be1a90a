// Greedy decoding of one sequence, and a prefill of 256 tokens, per preset.
#include <benchmark/benchmark.h>

#include "bench/common.hpp"
#include "core/generate/generator.hpp"

namespace calm::bench {
namespace {

std::vector<text::Token> prompt(std::size_t length) {
  std::vector<text::Token> ids(length, 'a');
  ids[0] = text::kBos;
  return ids;
}

void generate_tokens(benchmark::State &state, const std::string &preset, std::size_t prompt_length,
                     std::int64_t tokens) {
  run::LoadedModel loaded = preset_model(preset);
  generate::Generator generator(loaded, *machine().session);
  const std::vector<text::Token> ids = prompt(prompt_length);
  generate::Sampling sampling;
  sampling.temperature = 0;
  sampling.max_tokens = tokens;
  generator.generate(ids, 1, sampling, {});  // compiles
  double generated = 0;
  for ([[maybe_unused]] auto _ : state) {
    generated += static_cast<double>(generator.generate(ids, 1, sampling, {})[0].ids.size());
  }
  state.counters["tokens_per_s"] = benchmark::Counter(generated, benchmark::Counter::kIsRate);
}

BENCHMARK_CAPTURE(generate_tokens, nano_decode_256, "nano", 4, 256)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(generate_tokens, micro_decode_256, "micro", 4, 256)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(generate_tokens, nano_prefill_256, "nano", 256, 1)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace calm::bench
