// What the plugin loads once it has found a driver and a card: everything that is linked with
// NVIDIA's runtime, in a library of its own (README.md says why).
#pragma once

#include <calm/backend.h>

namespace calm::cuda {

/// The one symbol of lib/calm/cuda_engine.so. Gives the backend's table without `devices`, `device`
/// and `score`, which are the plugin's; null with UNAVAILABLE where cuBLASLt cannot be used.
using OpenEngine = const calm_backend *(*)(calm_error *error);
inline constexpr const char *kOpenEngine = "calm_cuda_engine";

}  // namespace calm::cuda
