// The cards as they are seen before a session is open, through the driver alone.
#pragma once

#include <calm/backend.h>

#include <cstdint>

namespace calm::cuda {

/// Number of usable devices, at least one. Throws UNAVAILABLE with the reason there is none.
std::uint32_t count_devices();
/// Throws NOT_FOUND.
calm_device describe_device(std::uint32_t index);
/// The device that a session on device `index` uses. Where several ranks share this host, each has
/// one of its own from there on, unless it sees one alone, which its launcher chose. Throws
/// NOT_FOUND; INVALID_ARGUMENT when there are fewer devices than ranks.
std::uint32_t device_of_rank(std::uint32_t index, const calm_host *host);
std::uint32_t score_of(calm_workload workload);

}  // namespace calm::cuda
