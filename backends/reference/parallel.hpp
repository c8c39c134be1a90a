// Work split into shards that depend on shapes only, so any number of threads gives the same bits.
//
// Every shard body is compiled for three instruction sets and the best one is picked at open.
// Vectors only do several elements at once: nothing is reassociated and a*b+c is never contracted
// (-ffp-contract=off), so all three give the same bits too.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernel.hpp"

/// Inlined into its caller, and so compiled for the caller's instruction set.
#define CALM_INLINE __attribute__((always_inline)) inline
/// The same for a lambda: `[&](std::size_t shard, auto width) CALM_LAMBDA { ... }`.
#define CALM_LAMBDA __attribute__((always_inline))

#if defined(__x86_64__)
#define CALM_AVX2 __attribute__((target("avx2")))
#define CALM_AVX512 __attribute__((target("avx2,avx512f,avx512vl,avx512bw,avx512dq")))
#else
#define CALM_AVX2
#define CALM_AVX512
#endif

namespace calm::reference {

/// Floats in a vector register of the level a shard is compiled for.
template <int kFloats>
struct Width {
  template <class Real>
  static constexpr int lanes = kFloats *static_cast<int>(sizeof(float)) /
                               static_cast<int>(sizeof(Real));
};

template <class Body>
struct ShardEntry {
  static void base(void *body, std::uint32_t shard) {
    (*static_cast<Body *>(body))(std::size_t{shard}, Width<4>{});
  }
  CALM_AVX2 static void avx2(void *body, std::uint32_t shard) {
    (*static_cast<Body *>(body))(std::size_t{shard}, Width<8>{});
  }
  CALM_AVX512 static void avx512(void *body, std::uint32_t shard) {
    (*static_cast<Body *>(body))(std::size_t{shard}, Width<16>{});
  }
};

/// Operations below which waking a thread costs more than it gives (some 20 us).
inline constexpr double kInlineWork = 65536;

/// Calls body(shard, width) for every shard in [0, shards). `work` is a guess of all operations.
template <class Body>
void for_shards(const Call &call, std::size_t shards, double work, Body body) {
  auto *const entry = call.level() == Level::kAvx512 ? &ShardEntry<Body>::avx512
                      : call.level() == Level::kAvx2 ? &ShardEntry<Body>::avx2
                                                     : &ShardEntry<Body>::base;
  const calm_host &host = call.host();
  if (shards < 2 || host.threads < 2 || work < kInlineWork) {
    for (std::size_t shard = 0; shard < shards; ++shard) {
      entry(&body, static_cast<std::uint32_t>(shard));
    }
    return;
  }
  host.parallel_for(host.self, static_cast<std::uint32_t>(shards), entry, &body);
}

inline std::size_t div_up(std::size_t n, std::size_t by) { return (n + by - 1) / by; }

/// Calls body(begin, end) for blocks of [0, n); `ops` is a guess of operations for each of the n.
template <class Body>
void for_blocks(const Call &call, std::size_t n, std::size_t block, double ops, Body body) {
  for_shards(call, div_up(n, block), ops * static_cast<double>(n),
             [&](std::size_t shard, auto)
                 CALM_LAMBDA { body(shard * block, std::min(n, (shard + 1) * block)); });
}

/// Elements a shard of an elementwise kernel handles.
inline constexpr std::size_t kElementBlock = 8192;

/// Rows a shard of a kernel over rows of `width` elements handles.
inline std::size_t row_block(std::size_t width) {
  return std::max<std::size_t>(1, kElementBlock / std::max<std::size_t>(1, width));
}

struct Range {
  std::size_t begin, end;
};

/// Part `i` of `parts` nearly equal parts of [0, n).
inline Range part(std::size_t n, std::size_t parts, std::size_t i) {
  return {i * n / parts, (i + 1) * n / parts};
}

/// Kernels that keep something for each shard use at most this many, to bound their scratch memory.
inline constexpr std::size_t kMaxGroups = 32;
inline std::size_t groups_of(std::size_t n) { return std::min(n, kMaxGroups); }

}  // namespace calm::reference
