// Sizes and memory of the causal convolution and its gradient: the same for every instruction set.
#pragma once

#include <calm/ops/causal_conv_silu.h>

#include <cstddef>

#include "onednn/kernel.hpp"

namespace calm::onednn {

struct ConvShape {
  static constexpr std::size_t kMostLanes = 16;

  std::size_t channels, taps;

  explicit ConvShape(const Node &node)
      : channels(node.extent(CALM_CAUSAL_CONV_SILU_X, 1)),
        taps(node.extent(CALM_CAUSAL_CONV_SILU_WEIGHT, 1)) {}

  /// Channels to whole vectors, however many lanes those have.
  std::size_t padded_channels() const {
    return (channels + kMostLanes - 1) / kMostLanes * kMostLanes;
  }
  /// Rows of a window: a block's, and those of another block that its taps reach.
  std::size_t window() const { return kChunk + taps - 1; }
};

/// What the convolution works on.
struct ConvWork {
  float *weight;  ///< carry: [blocks, taps, lanes]
  float *past;    ///< carry: [blocks, taps - 1, lanes], the rows before the next block
  float *x;       ///< [window, lanes]
  float *y;       ///< [64, lanes], where channels are padded or y is not wanted
  float *sums;    ///< [channels], before SiLU

  ConvWork(const ConvShape &s, reference::Scratch &carry, reference::Scratch &scratch)
      : weight(carry.take<float>(s.taps * s.padded_channels())),
        past(carry.take<float>((s.taps - 1) * s.padded_channels())),
        x(scratch.take<float>(s.window() * ConvShape::kMostLanes)),
        y(scratch.take<float>(kChunk * ConvShape::kMostLanes)),
        sums(scratch.take<float>(s.padded_channels())) {}
};

/// What its gradient works on. dc is the gradient of the sums before SiLU.
struct ConvGradWork {
  float *weight;        ///< carry: [blocks, taps, lanes]
  float *later;         ///< carry: [blocks, taps - 1, lanes], dc of the rows after the next block
  float *x, *dc;        ///< [window, lanes]
  float *grad, *to;     ///< [64, lanes], where channels are padded or grad_x is not wanted
  float *grad_weight;   ///< [blocks, taps, lanes], over the block's rows
  float *weight_block;  ///< [lanes, taps]

  ConvGradWork(const ConvShape &s, reference::Scratch &carry, reference::Scratch &scratch)
      : weight(carry.take<float>(s.taps * s.padded_channels())),
        later(carry.take<float>((s.taps - 1) * s.padded_channels())),
        x(scratch.take<float>(s.window() * ConvShape::kMostLanes)),
        dc(scratch.take<float>(s.window() * ConvShape::kMostLanes)),
        grad(scratch.take<float>(kChunk * ConvShape::kMostLanes)),
        to(scratch.take<float>(kChunk * ConvShape::kMostLanes)),
        grad_weight(scratch.take<float>(s.taps * s.padded_channels())),
        weight_block(scratch.take<float>(s.taps * ConvShape::kMostLanes)) {}
};

}  // namespace calm::onednn
