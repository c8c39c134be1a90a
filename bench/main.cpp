#include <cstdio>
#include <exception>
#include <string>

#include "bench/common.hpp"

int main(int argc, char **argv) {
  using namespace calm::bench;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 2;
  }
  try {
    add_machine_cases();
    add_train_cases();
    add_generate_cases();
    add_operator_cases();
    benchmark::AddCustomContext("calm_backend", machine().session->name());
    benchmark::AddCustomContext("calm_threads", std::to_string(machine().threads));
    benchmark::RunSpecifiedBenchmarks();
  } catch (const std::exception &e) {
    std::fprintf(stderr, "calm_bench: %s\n", e.what());
    return 1;
  }
  benchmark::Shutdown();
  return 0;
}
