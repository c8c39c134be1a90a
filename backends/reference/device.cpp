#include "device.hpp"

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <string>

namespace calm::reference {

calm_status devices(std::uint32_t *out_count, calm_error *) {
  *out_count = kDevices;
  return CALM_OK;
}

calm_status device(std::uint32_t index, calm_device *out, calm_error *error) {
  *out = {};
  if (index >= kDevices) {
    return guard(error, [index] {
      throw Error(CALM_NOT_FOUND, "expected device 0, found " + std::to_string(index));
    });
  }
  out->name = literal("cpu");
  out->memory = 0;  // the host's
  out->align = kBufferAlign;
  out->dtypes = literal("f32 f64");
  return CALM_OK;
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
