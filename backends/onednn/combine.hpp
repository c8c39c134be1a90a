#pragma once

#include <cstddef>

#include "onednn/kernel.hpp"

namespace calm::onednn {

/// out[i] = the sum over shards of sums[shard * stride + i], in order of shards; `n` elements.
void add_shards(const float *sums, std::size_t stride, std::size_t shards, std::size_t n,
                float *out, Level level);
void add_shards(const double *sums, std::size_t stride, std::size_t shards, std::size_t n,
                float *out);

}  // namespace calm::onednn
