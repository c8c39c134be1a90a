// Philox4x32-10 (Salmon et al., SC'11) on the device, as calm/random.h has it on the host.
#pragma once

#include <cstdint>

namespace calm::cuda {

struct Philox {
  std::uint32_t word[4];
};

__device__ inline Philox philox(std::uint64_t seed, std::uint32_t c0, std::uint32_t c1,
                                std::uint32_t c2, std::uint32_t c3) {
  auto k0 = static_cast<std::uint32_t>(seed);
  auto k1 = static_cast<std::uint32_t>(seed >> 32);
  Philox c{{c0, c1, c2, c3}};
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const std::uint32_t low0 = 0xD2511F53U * c.word[0];
    const std::uint32_t low1 = 0xCD9E8D57U * c.word[2];
    c = Philox{{__umulhi(0xCD9E8D57U, c.word[2]) ^ c.word[1] ^ k0, low1,
                __umulhi(0xD2511F53U, c.word[0]) ^ c.word[3] ^ k1, low0}};
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return c;
}

/// Uniform in [0, 1), 24 bits.
__device__ inline float uniform_of(std::uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24F;
}

}  // namespace calm::cuda
