#pragma once

#include <calm/backend.h>

#include <cstdint>
#include <string>

namespace calm::cuda {

/// Of every buffer: what parameter views ask for.
inline constexpr std::uint64_t kBufferAlign = 256;

/// Number of usable devices; 0 with the reason where driver, card or matrix library is missing.
std::uint32_t count_devices(std::string *reason);
/// Throws NOT_FOUND.
calm_device describe_device(std::uint32_t index);
std::uint32_t score_of(calm_workload workload);

}  // namespace calm::cuda
