// What the selective scan and its gradient share: sizes, and states laid out with channels in
// lanes.
//
// Operands keep the states of a channel side by side ([E, N]); both kernels work on blocks of
// channels, as many as a vector has lanes, with the channels of a state side by side: [block, N,
// lanes]. So no sum over states crosses lanes, and states stay in registers from row to row. States
// are padded to a multiple of 4, channels to whole vectors, with zeros: a = b = c = h = 0 stay so.
//
// Compiled once for every instruction set (simd.hpp), hence the unusual guard.
#if defined(CALM_ONEDNN_SCAN_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef CALM_ONEDNN_SCAN_INL_HPP
#undef CALM_ONEDNN_SCAN_INL_HPP
#else
#define CALM_ONEDNN_SCAN_INL_HPP
#endif

#include <hwy/highway.h>

#include "onednn/kernels/channels-inl.hpp"
#include "onednn/kernels/scan.hpp"
#include "onednn/kernels/work.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {

inline constexpr float kLog2e = 1.44269504F;

/// Numbers in the states of a block of channels.
inline std::size_t block_size(const ScanShape &s) { return s.padded * kLanes; }

/// [E, N] with channels in lanes.
inline void load_states(const ScanShape &s, const float *from, float *to) {
  for (std::size_t block = 0; block < blocks_of(s.channels); ++block) {
    load_block(from, s.channels, s.states, block, to + block * block_size(s), s.padded);
  }
}

/// Rows of b or c with their states padded: as they are, or a copy in `to`.
struct Rows {
  const float *data;
  std::size_t stride;
};
inline Rows padded_rows(const ScanShape &s, const Operand &from, std::size_t begin, std::size_t end,
                        float *to) {
  if (s.padded == s.states) {
    return {from.at<const float>(begin), from.stride};
  }
  for (std::size_t t = begin; t < end; ++t) {
    float *const row = to + (t - begin) * s.padded;
    std::copy_n(from.at<const float>(t), s.states, row);
    std::fill(row + s.states, row + s.padded, 0.0F);
  }
  return {to, s.padded};
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
