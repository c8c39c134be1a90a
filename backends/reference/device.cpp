#include "device.hpp"

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

namespace calm::reference {

calm_device describe_device() {
  calm_device device{};
  device.name = literal("cpu");
  device.memory = 0;  // the host's
  device.align = kBufferAlign;
  device.dtypes = literal("f32 f64");
  return device;
}

std::uint32_t score_of(calm_workload workload) {
  return workload == CALM_WORKLOAD_TRAIN || workload == CALM_WORKLOAD_DECODE ||
                 workload == CALM_WORKLOAD_BATCH
             ? 10
             : 0;
}

Level best_level() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
      __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0) {
    return Level::kAvx512;
  }
  if (__builtin_cpu_supports("avx2") != 0) {
    return Level::kAvx2;
  }
#endif
  return Level::kBase;
}

const char *level_name(Level level) {
  switch (level) {
    case Level::kAvx512:
      return "avx512";
    case Level::kAvx2:
      return "avx2";
    case Level::kBase:
      break;
  }
  return "base";
}

}  // namespace calm::reference
