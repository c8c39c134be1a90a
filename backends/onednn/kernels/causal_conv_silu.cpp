// y = silu(c), c[t, e] = sum over k < K of weight[e, k] x[t - k, e]: a causal depthwise
// convolution, each sequence alone (spec E.5.2).
//
// Channels lie in lanes; the rows that taps reach back to are kept from block to block, or come
// from a sequence's state. In a sequence of one row, as in generation, the next state of a channel
// is its state without the oldest value and with x, and c is its product with the weights turned
// round: with four taps that is a part of a vector, as it lies in memory.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/causal_conv_silu.cpp"
#include "onednn/simd.hpp"
// Above before below.
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "onednn/kernels/channels-inl.hpp"
#include "onednn/kernels/conv.hpp"
#include "onednn/kernels/work.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace {

struct Operands {
  Operand x, state_in, y, state_out;
  const float *weight;

  explicit Operands(const Call &call)
      : x(call.ins[CALM_CAUSAL_CONV_SILU_X]),
        y(output(call, CALM_CAUSAL_CONV_SILU_Y)),
        state_out(output(call, CALM_CAUSAL_CONV_SILU_STATE_OUT)),
        weight(call.ins[CALM_CAUSAL_CONV_SILU_WEIGHT].at<const float>(0)) {
    if (call.node->has(CALM_CAUSAL_CONV_SILU_STATE_IN)) {
      state_in = call.ins[CALM_CAUSAL_CONV_SILU_STATE_IN];
    }
  }
  const float *before(std::size_t sequence) const {
    return state_in ? state_in.at<const float>(sequence) : nullptr;
  }
  float *after(std::size_t sequence) const { return state_out ? state_out.at(sequence) : nullptr; }
};

/// y of the rows of a window, which begins taps - 1 rows earlier. kTaps: how many, or 0 for any.
template <std::size_t kTaps>
HWY_NOINLINE void convolve(std::size_t any_taps, const float *HWY_RESTRICT x, std::size_t rows,
                           const float *HWY_RESTRICT weight, Column y) {
  const Floats f;
  const std::size_t taps = kTaps == 0 ? any_taps : kTaps;
  for (std::size_t r = 0; r < rows; ++r) {
    const float *const newest = x + (r + taps - 1) * kLanes;
    Vector sum = hn::Mul(hn::Load(f, weight), hn::Load(f, newest));
    for (std::size_t k = 1; k < taps; ++k) {
      sum = hn::MulAdd(hn::Load(f, weight + k * kLanes), hn::Load(f, newest - k * kLanes), sum);
    }
    hn::StoreU(silu_of(f, sum), f, y.row(r));
  }
}

/// Rows [begin, end) of sequence q.
void convolve_rows(const ConvShape &s, const Call &call, const Operands &o, const ConvWork &work,
                   std::size_t q, std::size_t begin, std::size_t end) {
  const std::size_t rows = end - begin;
  const std::size_t reach = s.taps - 1;
  const float *const before = o.before(q);
  float *const after = end == row_of(call, q + 1) ? o.after(q) : nullptr;
  for (std::size_t block = 0; block < blocks_of(s.channels); ++block) {
    const std::size_t channel = block * kLanes;
    const std::size_t lanes = lanes_of(s.channels, block);
    float *const past = work.past + block * reach * kLanes;
    if (begin > row_of(call, q)) {
      std::copy_n(past, reach * kLanes, work.x);
    } else {
      std::fill_n(work.x, reach * kLanes, 0.0F);
      if (before != nullptr) {  // without its oldest column
        transpose(before + channel * s.taps + 1, s.taps, lanes, reach, work.x, kLanes);
      }
    }
    pad_column({o.x.at<const float>(begin) + channel, o.x.stride}, rows, lanes,
               work.x + reach * kLanes);
    const Column y = write_column(o.y, begin, channel, lanes, work.y);
    const float *const weight = work.weight + block * s.taps * kLanes;
    s.taps == 4 ? convolve<4>(s.taps, work.x, rows, weight, y)
                : convolve<0>(s.taps, work.x, rows, weight, y);
    finish_column(o.y, begin, rows, channel, lanes, work.y);
    std::copy_n(work.x + rows * kLanes, reach * kLanes, past);
    if (after != nullptr) {
      transpose(work.x + (rows - 1) * kLanes, kLanes, s.taps, lanes, after + channel * s.taps,
                s.taps);
    }
  }
}

#if HWY_TARGET != HWY_SCALAR
/// A vector of channels by one row, with four taps: the sums before SiLU. `before` and `after` as
/// those of step_row.
HWY_INLINE Vector step_block(const float *x, const float *weight, const float *before,
                             float *after) {
  const Floats f;
  using Indices = hn::Vec<hn::RebindToSigned<Floats>>;
  const hn::RebindToSigned<Floats> di;
  // Vector i of the four holds channels i * kQuads + j, j = 0, 1, ..., a quad each.
  constexpr std::size_t kQuads = kLanes / 4;
  const Indices lane = hn::Iota(di, 0);
  const Indices quad = hn::ShiftRight<2>(lane);
  const auto newest = hn::MaskFromVec(
      hn::BitCast(f, hn::VecFromMask(di, hn::Eq(hn::And(lane, hn::Set(di, 3)), hn::Set(di, 3)))));
  const Vector xs = hn::LoadU(f, x);
  Vector products[4];
  HWY_UNROLL(4)
  for (std::size_t i = 0; i < 4; ++i) {
    const Vector own = hn::TableLookupLanes(
        xs,
        hn::IndicesFromVec(f, hn::Add(quad, hn::Set(di, static_cast<std::int32_t>(i * kQuads)))));
    const std::size_t at = i * kLanes;
    const Vector older =
        before == nullptr ? hn::Zero(f) : hn::Shuffle0321(hn::LoadU(f, before + at));
    const Vector state = hn::IfThenElse(newest, own, older);
    if (after != nullptr) {
      hn::StoreU(state, f, after + at);
    }
    products[i] = hn::Mul(hn::Shuffle0123(state), hn::LoadU(f, weight + at));
  }
  // Lane i of quad j is now channel i * kQuads + j.
  const Vector sums = sum_blocks(products[0], products[1], products[2], products[3]);
  constexpr int kShift = kQuads == 4 ? 2 : kQuads == 2 ? 1 : 0;
  const Indices i = hn::ShiftRight<kShift>(lane);
  const Indices j = hn::And(lane, hn::Set(di, static_cast<std::int32_t>(kQuads - 1)));
  return hn::TableLookupLanes(sums, hn::IndicesFromVec(f, hn::Add(hn::ShiftLeft<2>(j), i)));
}
#endif

/// A sequence of one row, from the state `before` (null: zeros) to `after` (null: not wanted).
HWY_NOINLINE void step_row(const ConvShape &s, const Operands &o, const ConvWork &work,
                           std::size_t t, const float *before, float *after) {
  const auto *const x = o.x.at<const float>(t);
  std::size_t e = 0;
#if HWY_TARGET != HWY_SCALAR
  for (; s.taps == 4 && e + kLanes <= s.channels; e += kLanes) {
    const Vector sum =
        step_block(x + e, o.weight + e * 4, before == nullptr ? nullptr : before + e * 4,
                   after == nullptr ? nullptr : after + e * 4);
    if (o.y) {
      hn::StoreU(silu_of(kFloats, sum), kFloats, o.y.at(t) + e);
    }
  }
#endif
  const std::size_t rest = e;
  for (; e < s.channels; ++e) {
    const float *const weight = o.weight + e * s.taps;
    const float *const own = before == nullptr ? nullptr : before + e * s.taps;
    float sum = weight[0] * x[e];
    for (std::size_t k = 1; own != nullptr && k < s.taps; ++k) {
      sum += weight[k] * own[s.taps - k];
    }
    work.sums[e] = sum;
    if (after != nullptr) {
      float *const to = after + e * s.taps;
      for (std::size_t k = 0; k + 1 < s.taps; ++k) {
        to[k] = own == nullptr ? 0.0F : own[k + 1];
      }
      to[s.taps - 1] = x[e];
    }
  }
  for_vectors(o.y ? s.channels - rest : 0, [&](std::size_t i, auto lanes) CALM_SIMD {
    lanes.store(silu_of(kFloats, lanes.load(work.sums + rest + i)), o.y.at(t) + rest + i);
  });
}

/// Before a shard's first row: the weights with channels in lanes if any rows need them, and the
/// states of sequences without rows.
void begin_shard(const ConvShape &s, const Call &call, const Operands &o, const ConvWork &work) {
  bool long_ones = false;
  const std::size_t state = s.channels * s.taps;
  for (std::size_t q = call.first_sequence; q < call.last_sequence; ++q) {
    const std::size_t rows = row_of(call, q + 1) - row_of(call, q);
    long_ones = long_ones || rows > 1;
    if (rows == 0) {
      keep_state(o.before(q), o.after(q), state);
    }
  }
  for (std::size_t block = 0; long_ones && block < blocks_of(s.channels); ++block) {
    load_block(o.weight, s.channels, s.taps, block, work.weight + block * s.taps * kLanes, s.taps);
  }
}

HWY_NOINLINE void convolve_block(const Call &call, const ConvShape &s, const Operands &o,
                                 const ConvWork &work) {
  if (call.first_block(false)) {
    begin_shard(s, call, o, work);
  }
  const std::size_t live = live_end(call);
  std::size_t q = sequence_of(call, call.begin);
  for (std::size_t t = call.begin; t < live; ++q) {
    const std::size_t end = std::min(row_of(call, q + 1), live);
    if (end <= t) {
      continue;
    }
    if (row_of(call, q + 1) - row_of(call, q) == 1) {
      step_row(s, o, work, t, o.before(q), o.after(q));
    } else {
      convolve_rows(s, call, o, work, q, t, end);
    }
    t = end;
  }
  zero_rows(o.y, live, call.end, s.channels);
}

void causal_conv_silu(const Call &call) {
  const ConvShape s(*call.node);
  const Operands o(call);
  const auto work = work_of<ConvWork>(s, call);
  if (one_row(call)) {
    step_row(s, o, work, call.begin, o.before(call.first_sequence), o.after(call.first_sequence));
  } else {
    convolve_block(call, s, o, work);
  }
}

}  // namespace
}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {
constexpr Variants kRun = CALM_VARIANTS(causal_conv_silu);
}  // namespace

extern const Kernel kCausalConvSilu;
const Kernel kCausalConvSilu{.op = "causal_conv_silu",
                             .signature = "r[T,E] r[E,K] i[S+1] r[S,E,K]? -> r[T,E] r[S,E,K]",
                             .run = kRun,
                             .order = Order::kAscending,
                             .carry = carry_bytes<ConvShape, ConvWork>,
                             .scratch = scratch_bytes<ConvShape, ConvWork>};

}  // namespace calm::onednn
#endif
