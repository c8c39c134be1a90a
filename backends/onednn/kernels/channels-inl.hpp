// For kernels that work on each channel along rows: a vector of channels at a time, called a block
// of channels, its rows being columns of an operand. Layouts are [block, ..., lanes], with zeros in
// the lanes of channels that do not exist.
//
// Compiled once for every instruction set (simd.hpp), hence the unusual guard.
#if defined(CALM_ONEDNN_CHANNELS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef CALM_ONEDNN_CHANNELS_INL_HPP
#undef CALM_ONEDNN_CHANNELS_INL_HPP
#else
#define CALM_ONEDNN_CHANNELS_INL_HPP
#endif

#include <hwy/highway.h>

#include <algorithm>

#include "onednn/math-inl.hpp"
#include "onednn/rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr std::size_t kLanes = hn::MaxLanes(Floats());

/// The four lanes of a block of 128 bits, where a target has such.
using Quad = hn::CappedTag<float, 4>;

#if HWY_TARGET != HWY_SCALAR
/// In each 128-bit block the sums of that block's lanes of a, b, c and d.
HWY_INLINE Vector sum_blocks(Vector a, Vector b, Vector c, Vector d) {
  const hn::RepartitionToWide<Floats> wide;
  const auto ab = hn::BitCast(
      wide, hn::Add(hn::InterleaveLower(kFloats, a, b), hn::InterleaveUpper(kFloats, a, b)));
  const auto cd = hn::BitCast(
      wide, hn::Add(hn::InterleaveLower(kFloats, c, d), hn::InterleaveUpper(kFloats, c, d)));
  return hn::Add(hn::BitCast(kFloats, hn::InterleaveLower(wide, ab, cd)),
                 hn::BitCast(kFloats, hn::InterleaveUpper(wide, ab, cd)));
}

/// The sum of all 128-bit blocks of a vector.
template <class D, class V = hn::Vec<D>>
HWY_INLINE hn::Vec<Quad> add_blocks(D /*d*/, V v) {
  if constexpr (hn::MaxLanes(D()) <= 4) {
    return v;
  } else {
    const hn::Half<D> half;
    return add_blocks(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}

/// to[c * to_stride + r] = from[r * from_stride + c] for 4 rows of 4.
HWY_INLINE void transpose4(const float *from, std::size_t from_stride, float *to,
                           std::size_t to_stride) {
  const Quad d;
  const auto r0 = hn::LoadU(d, from);
  const auto r1 = hn::LoadU(d, from + from_stride);
  const auto r2 = hn::LoadU(d, from + 2 * from_stride);
  const auto r3 = hn::LoadU(d, from + 3 * from_stride);
  const auto low_even = hn::InterleaveLower(d, r0, r2);
  const auto low_odd = hn::InterleaveLower(d, r1, r3);
  const auto up_even = hn::InterleaveUpper(d, r0, r2);
  const auto up_odd = hn::InterleaveUpper(d, r1, r3);
  hn::StoreU(hn::InterleaveLower(d, low_even, low_odd), d, to);
  hn::StoreU(hn::InterleaveUpper(d, low_even, low_odd), d, to + to_stride);
  hn::StoreU(hn::InterleaveLower(d, up_even, up_odd), d, to + 2 * to_stride);
  hn::StoreU(hn::InterleaveUpper(d, up_even, up_odd), d, to + 3 * to_stride);
}
#endif

/// to[c * to_stride + r] = from[r * from_stride + c] for r < rows, c < columns.
inline void transpose(const float *from, std::size_t from_stride, std::size_t rows,
                      std::size_t columns, float *to, std::size_t to_stride) {
  std::size_t r = 0;
#if HWY_TARGET != HWY_SCALAR
  for (; r + 4 <= rows; r += 4) {
    std::size_t c = 0;
    for (; c + 4 <= columns; c += 4) {
      transpose4(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
    }
    for (; c < columns; ++c) {
      for (std::size_t i = r; i < r + 4; ++i) {
        to[c * to_stride + i] = from[i * from_stride + c];
      }
    }
  }
#endif
  for (; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) {
      to[c * to_stride + r] = from[r * from_stride + c];
    }
  }
}

/// Blocks of channels, and channels of a block that exist.
inline std::size_t blocks_of(std::size_t channels) { return (channels + kLanes - 1) / kLanes; }
inline std::size_t lanes_of(std::size_t channels, std::size_t block) {
  return std::min(kLanes, channels - block * kLanes);
}

/// A block of an array [channels, n] as [padded n, lanes], and back; `array` is its first number.
inline void load_block(const float *array, std::size_t channels, std::size_t n, std::size_t block,
                       float *to, std::size_t padded_n) {
  const std::size_t lanes = lanes_of(channels, block);
  if (lanes < kLanes || padded_n > n) {
    std::fill_n(to, padded_n * kLanes, 0.0F);
  }
  transpose(array + block * kLanes * n, n, lanes, n, to, kLanes);
}
inline void store_block(const float *from, std::size_t channels, std::size_t n, std::size_t block,
                        float *array) {
  transpose(from, kLanes, n, lanes_of(channels, block), array + block * kLanes * n, n);
}
/// The same, adding to doubles; `scratch`: lanes times n.
inline void add_block(const float *from, std::size_t channels, std::size_t n, std::size_t block,
                      double *array, float *scratch) {
  const std::size_t lanes = lanes_of(channels, block);
  transpose(from, kLanes, n, lanes, scratch, n);
  double *const to = array + block * kLanes * n;
  for (std::size_t i = 0; i < lanes * n; ++i) {
    to[i] += static_cast<double>(scratch[i]);
  }
}

/// The numbers of a block's channels, with zeros for those that do not exist.
HWY_INLINE Vector load_lanes(const float *from, std::size_t lanes) {
  return lanes == kLanes ? hn::LoadU(kFloats, from)
                         : hn::MaskedLoad(hn::FirstN(kFloats, lanes), kFloats, from);
}

/// A block's rows.
struct ConstColumn {
  const float *data;
  std::size_t stride;
  HWY_INLINE const float *row(std::size_t r) const { return data + r * stride; }
};
struct Column {
  float *data;
  std::size_t stride;
  HWY_INLINE float *row(std::size_t r) const { return data + r * stride; }
};

/// Copies rows of `lanes` channels to rows of whole vectors.
inline void pad_column(ConstColumn from, std::size_t rows, std::size_t lanes, float *to) {
  for (std::size_t r = 0; r < rows; ++r, to += kLanes) {
    hn::Store(load_lanes(from.row(r), lanes), kFloats, to);
  }
}

/// Rows to read from `begin` on: in place where all channels of the block exist, else copied to
/// `to`.
inline ConstColumn read_column(const Operand &operand, std::size_t begin, std::size_t rows,
                               std::size_t channel, std::size_t lanes, float *to) {
  const ConstColumn own = {operand.at<const float>(begin) + channel, operand.stride};
  if (lanes == kLanes) {
    return own;
  }
  pad_column(own, rows, lanes, to);
  return {to, kLanes};
}
/// Where to write rows: in place, or to `to` where not all channels exist or nobody wants them.
inline Column write_column(const Operand &operand, std::size_t begin, std::size_t channel,
                           std::size_t lanes, float *to) {
  return operand && lanes == kLanes ? Column{operand.at(begin) + channel, operand.stride}
                                    : Column{to, kLanes};
}
/// After that: copies what is at `from` instead of in place.
inline void finish_column(const Operand &operand, std::size_t begin, std::size_t rows,
                          std::size_t channel, std::size_t lanes, const float *from) {
  for (std::size_t r = 0; operand && lanes < kLanes && r < rows; ++r) {
    std::copy_n(from + r * kLanes, lanes, operand.at(begin + r) + channel);
  }
}

inline void zero_rows(const Operand &to, std::size_t begin, std::size_t end, std::size_t width) {
  for (std::size_t t = begin; to && t < end; ++t) {
    std::fill_n(to.at(t), width, 0.0F);
  }
}

/// The state after a sequence without rows.
inline void keep_state(const float *before, float *after, std::size_t n) {
  if (after != nullptr && before == nullptr) {
    std::fill_n(after, n, 0.0F);
  } else if (after != nullptr && before != after) {
    std::copy_n(before, n, after);
  }
}

/// First row of a sequence.
inline std::size_t row_of(const Call &call, std::size_t sequence) {
  return static_cast<std::size_t>(call.offsets[sequence]);
}
/// The call's rows up to here belong to sequences.
inline std::size_t live_end(const Call &call) {
  return std::clamp(row_of(call, call.last_sequence), call.begin, call.end);
}
/// The sequence of a live row of the call's shard.
inline std::size_t sequence_of(const Call &call, std::size_t row) {
  const std::int32_t *const ends = call.offsets + 1;
  const std::int32_t *const end = std::upper_bound(
      ends + call.first_sequence, ends + call.last_sequence, static_cast<std::int32_t>(row));
  return static_cast<std::size_t>(end - ends);
}
/// Whether the call is one sequence of one row and no more: a step of generation.
inline bool one_row(const Call &call) {
  const std::size_t q = call.first_sequence;
  return call.last_sequence == q + 1 && call.end == call.begin + 1 &&
         row_of(call, q) == call.begin && row_of(call, q + 1) == call.end;
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
