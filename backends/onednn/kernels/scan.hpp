// Sizes and memory of the selective scan and its gradient: the same for every instruction set.
#pragma once

#include <calm/ops/selective_scan.h>

#include <algorithm>
#include <cstddef>

#include "onednn/kernel.hpp"

namespace calm::onednn {

struct ScanShape {
  static constexpr std::size_t kMostLanes = 16;

  std::size_t channels, states;
  std::size_t padded;  ///< states, to a multiple of 4

  explicit ScanShape(const Node &node)
      : channels(node.extent(CALM_SELECTIVE_SCAN_X, 1)),
        states(node.extent(CALM_SELECTIVE_SCAN_A, 1)),
        padded((states + 3) / 4 * 4) {}

  /// Channels to whole vectors, however many lanes those have.
  std::size_t padded_channels() const {
    return (channels + kMostLanes - 1) / kMostLanes * kMostLanes;
  }
  /// Numbers in the states of all channels.
  std::size_t all() const { return padded_channels() * padded; }
};

/// What the scan works on.
struct ScanWork {
  float *a, *h;          ///< carry: [blocks, padded, lanes]
  float *b, *c;          ///< [64, padded], where states are padded
  float *x, *delta, *y;  ///< [64, lanes], where channels are padded or y is not wanted
  float *decay, *u;      ///< [channels], of a sequence of one row: delta log2 e and delta x

  ScanWork(const ScanShape &s, reference::Scratch &carry, reference::Scratch &scratch)
      : a(carry.take<float>(s.all())),
        h(carry.take<float>(s.all())),
        b(scratch.take<float>(kChunk * s.padded)),
        c(scratch.take<float>(kChunk * s.padded)),
        x(scratch.take<float>(kChunk * ScanShape::kMostLanes)),
        delta(scratch.take<float>(kChunk * ScanShape::kMostLanes)),
        y(scratch.take<float>(kChunk * ScanShape::kMostLanes)),
        decay(scratch.take<float>(s.padded_channels())),
        u(scratch.take<float>(s.padded_channels())) {}
};

/// What its gradient works on.
struct ScanGradWork {
  static constexpr std::size_t kMostStates = 8;  ///< at a time

  float *a, *next;       ///< carry: [blocks, padded, lanes]; next: w[t+1] dh[t+1]
  float *b, *c;          ///< [64, padded], where states are padded
  float *h;              ///< [padded, lanes] before the first row
  float *kept;           ///< [64, states at a time, 2, lanes]: w and w h[t-1]; a block of grad_a
  float *sums;           ///< [64, 2, lanes]: over states, of dh b and of dh a w h[t-1]
  float *sum_a, *sum_d;  ///< over the block's rows: [blocks, padded, lanes], [blocks, lanes]
  float *sum_b, *sum_c;  ///< over channels: [64, padded / 4, lanes, but 4 or more]
  float *rows[5];        ///< [64, lanes]: operands where channels are padded, or not wanted

  ScanGradWork(const ScanShape &s, reference::Scratch &carry, reference::Scratch &scratch) {
    constexpr std::size_t kLanes = ScanShape::kMostLanes;
    a = carry.take<float>(s.all());
    next = carry.take<float>(s.all());
    b = scratch.take<float>(kChunk * s.padded);
    c = scratch.take<float>(kChunk * s.padded);
    h = scratch.take<float>(s.padded * kLanes);
    kept = scratch.take<float>(std::max(kChunk * kMostStates * 2, s.padded) * kLanes);
    sums = scratch.take<float>(kChunk * 2 * kLanes);
    sum_a = scratch.take<float>(s.all());
    sum_d = scratch.take<float>(s.padded_channels());
    sum_b = scratch.take<float>(kChunk * s.padded / 4 * kLanes);
    sum_c = scratch.take<float>(kChunk * s.padded / 4 * kLanes);
    for (float *&row : rows) {
      row = scratch.take<float>(kChunk * kLanes);
    }
  }
};

}  // namespace calm::onednn
