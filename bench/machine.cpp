// What the machine can do, measured, and the limits that follow for each preset. Other cases are
// held against them.
#include <string>

#include "bench/common.hpp"

namespace calm::bench {
namespace {

// The numbers are measured once for the whole program, so a case has one iteration that says them.
void rates(benchmark::State &state, unsigned threads) {
  const Rates &found = measured_rates(threads);
  for ([[maybe_unused]] auto _ : state) {
  }
  state.counters["fma_gflops"] = found.flops / 1e9;
  state.counters["exp2_g_per_s"] = found.exponentials / 1e9;
  state.counters["scan_g_per_s"] = found.scan / 1e9;
  for (const Level &level : found.levels) {
    state.counters["read_" + level.name + "_GB_per_s"] = level.bytes_per_second / 1e9;
  }
  state.SetLabel(found.instructions);
}

void show(benchmark::State &state, double tokens, const Limit &limit) {
  for ([[maybe_unused]] auto _ : state) {
  }
  state.counters["tokens_per_s"] = tokens / limit.seconds();
  for (const Limit::Part &part : limit.parts) {
    state.counters[part.name + "_ns"] = part.seconds / tokens * 1e9;
  }
  state.SetLabel("binds " + limit.binds());
}

void training(benchmark::State &state, const Size &size, unsigned threads) {
  constexpr double kMeanRows = 178;  // of a sequence of the dictionary data, its last token aside
  const double tokens = kMeanRows * static_cast<double>(size.batch);
  show(state, tokens,
       train_limit(work_of(preset_config(size.preset)), measured_rates(threads), tokens));
}

void decoding(benchmark::State &state, const Size &size, unsigned threads) {
  show(state, 1, decode_limit(work_of(preset_config(size.preset)), measured_rates(threads), 1));
}

}  // namespace

void add_machine_cases() {
  const unsigned all = machine().threads;
  for (unsigned threads = 1; threads <= all; threads = threads == all ? all + 1 : all) {
    const std::string suffix = "/threads:" + std::to_string(threads);
    add_case("machine" + suffix, [threads](benchmark::State &state) {
      rates(state, threads);
    })->Iterations(1);
    for (const Size &size : kSizes) {
      add_case("limit_of_training/" + std::string(size.preset) + suffix,
               [size, threads](benchmark::State &state) { training(state, size, threads); })
          ->Iterations(1);
    }
  }
  for (const Size &size : kSizes) {
    add_case("limit_of_decoding/" + std::string(size.preset) + "/threads:1",
             [size](benchmark::State &state) { decoding(state, size, 1); })
        ->Iterations(1);
  }
}

}  // namespace calm::bench
