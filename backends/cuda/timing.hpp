// How long work takes on the device.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "cuda/memory.hpp"

namespace calm::cuda {

/// Memory as tensors fill it: about normal with deviation one, read as f32 and as bf16. What a
/// product takes depends on its numbers, by the power that they draw.
DeviceMemory typical_numbers(std::uint64_t bytes, cudaStream_t stream);

/// Median milliseconds of `put(i)`, which puts work i of `n` on the stream, each repeated in a
/// graph so that no launch from the host is in it, all in turn so that a drifting clock does no
/// harm to one alone. Infinite where `put` throws FAILED. Nothing else may be under way on the
/// device's streams of this process.
std::vector<float> times_of(std::size_t n, const std::function<void(std::size_t)> &put,
                            cudaStream_t stream);

}  // namespace calm::cuda
