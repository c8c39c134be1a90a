// Sizes and layout that the selective scan and its gradient share.
//
// Both work on blocks of 16 channels: block by block, state by state, the 16 channels of a block
// lie side by side ([N, 16]), so that inner loops run along channels and every sum over states
// keeps the plain order n = 0, 1, ... Channels beyond the last are zeros.
#pragma once

#include <calm/ops/selective_scan.h>

#include <algorithm>

#include "../parallel.hpp"

namespace calm::reference {

inline constexpr std::size_t kScanLanes = 16;

struct ScanShape {
  std::size_t rows, channels, states, sequences;
  std::size_t blocks;  // of 16 channels
  std::size_t groups;  // of sequences that one shard handles in order
  std::size_t chunks;  // of 64 rows

  explicit ScanShape(const Node &node)
      : rows(node.extent(CALM_SELECTIVE_SCAN_X, 0)),
        channels(node.extent(CALM_SELECTIVE_SCAN_X, 1)),
        states(node.extent(CALM_SELECTIVE_SCAN_A, 1)),
        sequences(node.extent(CALM_SELECTIVE_SCAN_OFFSETS, 0) - 1),
        blocks(div_up(channels, kScanLanes)),
        groups(groups_of(sequences)),
        chunks(div_up(rows, CALM_SCAN_CHUNK)) {}

  /// Numbers in one block of states, [N, 16].
  std::size_t block_size() const { return states * kScanLanes; }
  /// Channels of a block that exist.
  std::size_t lanes(std::size_t block) const {
    return std::min(kScanLanes, channels - block * kScanLanes);
  }
  double work(double ops) const {
    return ops * static_cast<double>(rows) * static_cast<double>(channels) *
           static_cast<double>(states);
  }
};

/// The 16 channels of a block of one row, [E].
template <class Real>
CALM_INLINE void load_lanes(const Real *from, std::size_t lanes, Real (&to)[kScanLanes]) {
  if (lanes == kScanLanes) {
    for (std::size_t l = 0; l < kScanLanes; ++l) {
      to[l] = from[l];
    }
    return;
  }
  for (std::size_t l = 0; l < kScanLanes; ++l) {
    to[l] = l < lanes ? from[l] : Real{0};
  }
}
template <class Real>
CALM_INLINE void store_lanes(const Real (&from)[kScanLanes], std::size_t lanes, Real *to) {
  for (std::size_t l = 0; l < lanes; ++l) {
    to[l] = from[l];
  }
}

/// A block of [E, N], `from` at its first channel, as [N, 16]; and back.
template <class Real>
CALM_INLINE void load_block(const ScanShape &s, const Real *from, std::size_t lanes, Real *to) {
  for (std::size_t n = 0; n < s.states; ++n) {
    for (std::size_t l = 0; l < kScanLanes; ++l) {
      to[n * kScanLanes + l] = l < lanes ? from[l * s.states + n] : Real{0};
    }
  }
}
template <class Real>
CALM_INLINE void store_block(const ScanShape &s, const Real *from, std::size_t lanes, Real *to) {
  for (std::size_t l = 0; l < lanes; ++l) {
    for (std::size_t n = 0; n < s.states; ++n) {
      to[l * s.states + n] = from[n * kScanLanes + l];
    }
  }
}

}  // namespace calm::reference
