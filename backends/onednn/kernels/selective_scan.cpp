// h[t, e, n] = exp(delta[t, e] a[e, n]) h[t-1, e, n] + delta[t, e] b[t, n] x[t, e]
// y[t, e]    = sum over n of c[t, n] h[t, e, n]  +  d[e] x[t, e]
// Gu & Dao, arXiv 2312.00752, algorithm 2; spec E.5.5. exp(v) is 2^(v log2 e).
//
// Channels lie in lanes, and the states of a vector of channels stay in registers over all rows of
// a block; between blocks they are in `carry`. A sequence of one row, as in generation, has nothing
// to keep: there states lie in lanes, as they do in memory.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/selective_scan.cpp"
#include "onednn/simd.hpp"
// Above before below.
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "onednn/kernels/scan-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace {

/// States in registers at a time.
inline constexpr std::size_t kMostStates = HWY_TARGET == HWY_AVX3 ? 16 : 8;

struct Operands {
  Operand x, delta, b, c, state_in, y, bounds, state_out;
  const float *a, *d;

  explicit Operands(const Call &call)
      : x(call.ins[CALM_SELECTIVE_SCAN_X]),
        delta(call.ins[CALM_SELECTIVE_SCAN_DELTA]),
        b(call.ins[CALM_SELECTIVE_SCAN_B]),
        c(call.ins[CALM_SELECTIVE_SCAN_C]),
        y(output(call, CALM_SELECTIVE_SCAN_Y)),
        bounds(output(call, CALM_SELECTIVE_SCAN_BOUNDS)),
        state_out(output(call, CALM_SELECTIVE_SCAN_STATE_OUT)),
        a(call.ins[CALM_SELECTIVE_SCAN_A].at<const float>(0)),
        d(call.ins[CALM_SELECTIVE_SCAN_D].at<const float>(0)) {
    if (call.node->has(CALM_SELECTIVE_SCAN_STATE_IN)) {
      state_in = call.ins[CALM_SELECTIVE_SCAN_STATE_IN];
    }
  }
  const float *before(std::size_t sequence) const {
    return state_in ? state_in.at<const float>(sequence) : nullptr;
  }
  float *after(std::size_t sequence) const { return state_out ? state_out.at(sequence) : nullptr; }
};

/// Rows of one sequence, and a block of channels of them.
struct Piece {
  std::size_t rows;
  ConstColumn x, delta;
  Rows b, c;
  Column y;
};

/// kStates states from `n` on, forward through the rows; y begins with d x, or goes on.
template <std::size_t kStates>
HWY_INLINE void scan_states(const Piece &p, std::size_t n, const float *HWY_RESTRICT a,
                            float *HWY_RESTRICT h, Vector skip) {
  const Floats f;
  Vector state[kStates];
  HWY_UNROLL(16)
  for (std::size_t i = 0; i < kStates; ++i) {
    state[i] = hn::Load(f, h + i * kLanes);
  }
  const Vector log2e = hn::Set(f, kLog2e);
  for (std::size_t r = 0; r < p.rows; ++r) {
    const float *HWY_RESTRICT const b = p.b.data + r * p.b.stride + n;
    const float *HWY_RESTRICT const c = p.c.data + r * p.c.stride + n;
    float *HWY_RESTRICT const y = p.y.row(r);
    const Vector x = hn::LoadU(f, p.x.row(r));
    const Vector delta = hn::LoadU(f, p.delta.row(r));
    const Vector u = hn::Mul(delta, x);
    const Vector step = hn::Mul(delta, log2e);
    Vector even = n == 0 ? hn::Mul(skip, x) : hn::LoadU(f, y);
    Vector odd = hn::Zero(f);
    HWY_UNROLL(16)
    for (std::size_t i = 0; i < kStates; i += 2) {
      state[i] = hn::MulAdd(exp2_of(f, hn::Mul(step, hn::Load(f, a + i * kLanes))), state[i],
                            hn::Mul(u, hn::Set(f, b[i])));
      even = hn::MulAdd(hn::Set(f, c[i]), state[i], even);
      state[i + 1] = hn::MulAdd(exp2_of(f, hn::Mul(step, hn::Load(f, a + (i + 1) * kLanes))),
                                state[i + 1], hn::Mul(u, hn::Set(f, b[i + 1])));
      odd = hn::MulAdd(hn::Set(f, c[i + 1]), state[i + 1], odd);
    }
    hn::StoreU(hn::Add(even, odd), f, y);
  }
  HWY_UNROLL(16)
  for (std::size_t i = 0; i < kStates; ++i) {
    hn::Store(state[i], f, h + i * kLanes);
  }
}

/// All states of a block of channels.
HWY_NOINLINE void scan_piece(const ScanShape &s, const Piece &p, const float *a, float *h,
                             Vector skip) {
  std::size_t n = 0;
  for (; n + kMostStates <= s.padded; n += kMostStates) {
    scan_states<kMostStates>(p, n, a + n * kLanes, h + n * kLanes, skip);
  }
  if (kMostStates > 8 && n + 8 <= s.padded) {
    scan_states<8>(p, n, a + n * kLanes, h + n * kLanes, skip);
    n += 8;
  }
  if (n < s.padded) {
    scan_states<4>(p, n, a + n * kLanes, h + n * kLanes, skip);
  }
}

/// Rows [begin, end) of one sequence; b and c have row `begin` first.
void scan_rows(const ScanShape &s, const Operands &o, const ScanWork &work, Rows b, Rows c,
               std::size_t begin, std::size_t end) {
  const std::size_t rows = end - begin;
  for (std::size_t block = 0; block < blocks_of(s.channels); ++block) {
    const std::size_t channel = block * kLanes;
    const std::size_t lanes = lanes_of(s.channels, block);
    const Piece p = {rows,
                     read_column(o.x, begin, rows, channel, lanes, work.x),
                     read_column(o.delta, begin, rows, channel, lanes, work.delta),
                     b,
                     c,
                     write_column(o.y, begin, channel, lanes, work.y)};
    scan_piece(s, p, work.a + block * block_size(s), work.h + block * block_size(s),
               load_lanes(o.d + channel, lanes));
    finish_column(o.y, begin, rows, channel, lanes, work.y);
  }
}

/// The states of one channel by one row: c h, not yet summed up.
template <bool kBegins>
HWY_INLINE Vector step_channel(std::size_t states, float delta, float x, const float *a,
                               const float *b, const float *c, const float *before, float *after) {
  const Floats f;
  const Vector step = hn::Set(f, delta * kLog2e);
  const Vector u = hn::Set(f, delta * x);
  Vector sum = hn::Zero(f);
  for_vectors(states, [&](std::size_t n, auto lanes) CALM_SIMD {
    Vector h = hn::Mul(u, lanes.load(b + n));
    if constexpr (!kBegins) {
      h = hn::MulAdd(exp2_of(f, hn::Mul(step, lanes.load(a + n))), lanes.load(before + n), h);
    }
    if (after != nullptr) {
      lanes.store(h, after + n);
    }
    sum = hn::MulAdd(lanes.load(c + n), h, sum);
  });
  return sum;
}

/// A sequence of one row, `before` (kBegins: zeros) to `after` (null: not wanted). kStates: how
/// many, or 0 for any number.
template <bool kBegins, std::size_t kStates>
HWY_NOINLINE void step_states(const ScanShape &s, const Operands &o, std::size_t t,
                              const float *before, float *after) {
  const auto *const x = o.x.at<const float>(t);
  const auto *const delta = o.delta.at<const float>(t);
  const auto *const b = o.b.at<const float>(t);
  const auto *const c = o.c.at<const float>(t);
  float *const y = o.y ? o.y.at(t) : nullptr;
  const std::size_t states = kStates == 0 ? s.states : kStates;
  const auto channel = [&](std::size_t e) CALM_SIMD {
    const std::size_t at = e * states;
    return step_channel<kBegins>(states, delta[e], x[e], o.a + at, b, c,
                                 kBegins ? nullptr : before + at,
                                 after == nullptr ? nullptr : after + at);
  };
  std::size_t e = 0;
#if HWY_TARGET != HWY_SCALAR
  const Quad quad;
  for (; e + 4 <= s.channels; e += 4) {
    const Vector sums = sum_blocks(channel(e), channel(e + 1), channel(e + 2), channel(e + 3));
    if (y != nullptr) {
      hn::StoreU(
          hn::MulAdd(hn::LoadU(quad, o.d + e), hn::LoadU(quad, x + e), add_blocks(kFloats, sums)),
          quad, y + e);
    }
  }
#endif
  for (; e < s.channels; ++e) {
    const float sum = hn::GetLane(hn::SumOfLanes(kFloats, channel(e)));
    if (y != nullptr) {
      y[e] = sum + o.d[e] * x[e];
    }
  }
}

void step_row(const ScanShape &s, const Operands &o, std::size_t t, const float *before,
              float *after) {
  if (s.states == 16) {
    before == nullptr ? step_states<true, 16>(s, o, t, before, after)
                      : step_states<false, 16>(s, o, t, before, after);
  } else {
    before == nullptr ? step_states<true, 0>(s, o, t, before, after)
                      : step_states<false, 0>(s, o, t, before, after);
  }
}

/// Before a shard's first row: a with channels in lanes if any rows need it, and the states of
/// sequences without rows.
void begin_shard(const ScanShape &s, const Call &call, const Operands &o, const ScanWork &work) {
  bool long_ones = false;
  for (std::size_t q = call.first_sequence; q < call.last_sequence; ++q) {
    const std::size_t rows = row_of(call, q + 1) - row_of(call, q);
    long_ones = long_ones || rows > 1;
    if (rows == 0) {
      keep_state(o.before(q), o.after(q), s.channels * s.states);
    }
  }
  if (long_ones) {
    load_states(s, o.a, work.a);
  }
}

void store_states(const ScanShape &s, const float *h, float *to) {
  for (std::size_t block = 0; block < blocks_of(s.channels); ++block) {
    store_block(h + block * block_size(s), s.channels, s.states, block, to);
  }
}

void selective_scan(const Call &call) {
  const ScanShape s(*call.node);
  const Operands o(call);
  const auto work = work_of<ScanWork>(s, call);
  if (call.first_block(false)) {
    begin_shard(s, call, o, work);
  }
  std::size_t q = sequence_of(call, call.begin);
  const std::size_t live = live_end(call);
  if (o.bounds && call.begin < call.end && call.begin % kChunk == 0) {
    float *const bounds = o.bounds.at(call.begin / kChunk);
    if (call.begin < live && row_of(call, q) < call.begin) {
      store_states(s, work.h, bounds);
    } else {
      std::fill_n(bounds, s.channels * s.states, 0.0F);
    }
  }
  const Rows b = padded_rows(s, o.b, call.begin, live, work.b);
  const Rows c = padded_rows(s, o.c, call.begin, live, work.c);
  for (std::size_t t = call.begin; t < live; ++q) {
    const std::size_t end = std::min(row_of(call, q + 1), live);
    if (end <= t) {
      continue;
    }
    const float *const before = o.before(q);
    float *const after = o.after(q);
    if (row_of(call, q + 1) - row_of(call, q) == 1) {
      step_row(s, o, t, before, after);
    } else {
      if (t == row_of(call, q)) {
        if (before != nullptr) {
          load_states(s, before, work.h);
        } else {
          std::fill_n(work.h, s.all(), 0.0F);
        }
      }
      const std::size_t r = t - call.begin;
      scan_rows(s, o, work, {b.data + r * b.stride, b.stride}, {c.data + r * c.stride, c.stride}, t,
                end);
      if (after != nullptr && end == row_of(call, q + 1)) {
        store_states(s, work.h, after);
      }
    }
    t = end;
  }
  zero_rows(o.y, live, call.end, s.channels);
}

}  // namespace
}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {
constexpr Variants kRun = CALM_VARIANTS(selective_scan);
}  // namespace

extern const Kernel kSelectiveScan;
const Kernel kSelectiveScan{
    .op = "selective_scan",
    .signature =
        "r[T,E] r[T,E] r[E,N] r[T,N] r[T,N] r[E] i[S+1] r[S,E,N]? -> r[T,E] r[T/64,E,N] r[S,E,N]",
    .run = kRun,
    .order = Order::kAscending,
    .carry = carry_bytes<ScanShape, ScanWork>,
    .scratch = scratch_bytes<ScanShape, ScanWork>};

}  // namespace calm::onednn
#endif
