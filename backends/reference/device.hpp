#pragma once

#include <calm/backend.h>

#include <cstdint>

#include "kernel.hpp"

namespace calm::reference {

/// One device, the host's processor.
inline constexpr std::uint32_t kDevices = 1;
/// Of every buffer: a cache line pair, and what parameter views ask for.
inline constexpr std::uint64_t kBufferAlign = 256;

/// calm_backend::devices and ::device of every backend on the host's processor.
calm_status devices(std::uint32_t *out_count, calm_error *error);
calm_status device(std::uint32_t index, calm_device *out, calm_error *error);
/// The lowest of the real backends: whatever else is there is faster.
std::uint32_t score_of(calm_workload workload);
/// The widest instruction set of this processor that kernels are compiled for.
Level best_level();
const char *level_name(Level level);

}  // namespace calm::reference
