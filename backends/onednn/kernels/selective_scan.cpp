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

/// What a sequence of one row reads and writes. `before` null: zeros; `after`, `y` null: not
/// wanted.
struct OneRow {
  const float *x, *delta, *a, *b, *c, *d, *before;
  float *after, *y;
};

OneRow one_row_of(const Operands &o, std::size_t t, std::size_t sequence) {
  return {o.x.at<const float>(t), o.delta.at<const float>(t), o.a,
          o.b.at<const float>(t), o.c.at<const float>(t),     o.d,
          o.before(sequence),     o.after(sequence),          o.y ? o.y.at(t) : nullptr};
}

/// delta log2 e and delta x go through memory, from where a number fills a vector at no cost.
void prepare(const OneRow &row, std::size_t channels, const ScanWork &work) {
  for_vectors(channels, [&](std::size_t e, auto lanes) CALM_SIMD {
    const Vector deltas = lanes.load(row.delta + e);
    lanes.store(hn::Mul(deltas, hn::Set(kFloats, kLog2e)), work.decay + e);
    lanes.store(hn::Mul(deltas, lanes.load(row.x + e)), work.u + e);
  });
}

#if HWY_TARGET != HWY_SCALAR
/// As many vectors as 16 states fill.
inline constexpr std::size_t kSixteen = 16 / std::min<std::size_t>(16, kLanes);

struct Sixteen {
  Vector v[kSixteen];
  HWY_INLINE explicit Sixteen(const float *from) {
    HWY_UNROLL(16)
    for (std::size_t i = 0; i < kSixteen; ++i) {
      v[i] = hn::LoadU(kFloats, from + i * kLanes);
    }
  }
};

/// A channel of 16 states by one row: c h, not yet summed up. `decay` is delta log2 e, `u` delta x.
template <bool kBegins>
HWY_INLINE Vector step_sixteen(float decay, float u, const float *a, const Sixteen &b,
                               const Sixteen &c, const float *before, float *after) {
  const Floats f;
  const Vector decays = hn::Set(f, decay);
  const Vector us = hn::Set(f, u);
  Vector sum;
  HWY_UNROLL(16)
  for (std::size_t i = 0; i < kSixteen; ++i) {
    const std::size_t n = i * kLanes;
    Vector h = hn::Mul(us, b.v[i]);
    if constexpr (!kBegins) {
      h = hn::MulAdd(exp2_of(f, hn::Mul(decays, hn::LoadU(f, a + n))), hn::LoadU(f, before + n), h);
    }
    hn::StoreU(h, f, after + n);
    sum = i == 0 ? hn::Mul(c.v[i], h) : hn::MulAdd(c.v[i], h, sum);
  }
  return sum;
}

/// y of four channels of 16 states from channel `e` on.
template <bool kBegins>
HWY_INLINE hn::Vec<Quad> step_quad(const OneRow &row, std::size_t e, const float *decay,
                                   const float *u, const Sixteen &b, const Sixteen &c) {
  const Quad quad;
  const auto channel = [&](std::size_t i) CALM_SIMD {
    const std::size_t at = (e + i) * 16;
    return step_sixteen<kBegins>(decay[e + i], u[e + i], row.a + at, b, c,
                                 kBegins ? nullptr : row.before + at, row.after + at);
  };
  const Vector sums = sum_blocks(channel(0), channel(1), channel(2), channel(3));
  return hn::MulAdd(hn::LoadU(quad, row.d + e), hn::LoadU(quad, row.x + e),
                    add_blocks(kFloats, sums));
}

/// Four channels at a time, of 16 states each. Gives how many channels it did.
template <bool kBegins>
HWY_NOINLINE std::size_t step_sixteens(const OneRow &row, std::size_t channels, const float *decay,
                                       const float *u) {
  const Quad quad;
  const Sixteen b(row.b), c(row.c);
  const OneRow own = row;  // not where a store might reach it
  std::size_t e = 0;
  for (; e + 4 <= channels; e += 4) {
    hn::StoreU(step_quad<kBegins>(own, e, decay, u, b, c), quad, own.y + e);
  }
  return e;
}
#endif

/// Any number of states, from channel `e` on.
void step_any(const ScanShape &s, const OneRow &row, std::size_t e, const float *decay,
              const float *u) {
  for (; e < s.channels; ++e) {
    const std::size_t at = e * s.states;
    const Vector decays = hn::Set(kFloats, decay[e]);
    const Vector us = hn::Set(kFloats, u[e]);
    Vector sum = hn::Zero(kFloats);
    for_vectors(s.states, [&](std::size_t n, auto lanes) CALM_SIMD {
      Vector h = hn::Mul(us, lanes.load(row.b + n));
      if (row.before != nullptr) {
        h = hn::MulAdd(exp2_of(kFloats, hn::Mul(decays, lanes.load(row.a + at + n))),
                       lanes.load(row.before + at + n), h);
      }
      if (row.after != nullptr) {
        lanes.store(h, row.after + at + n);
      }
      sum = hn::MulAdd(lanes.load(row.c + n), h, sum);
    });
    if (row.y != nullptr) {
      row.y[e] = hn::GetLane(hn::SumOfLanes(kFloats, sum)) + row.d[e] * row.x[e];
    }
  }
}

HWY_NOINLINE void step_row(const ScanShape &s, const OneRow &row, const ScanWork &work) {
  prepare(row, s.channels, work);
  std::size_t done = 0;
#if HWY_TARGET != HWY_SCALAR
  if (s.states == 16 && row.after != nullptr && row.y != nullptr) {
    done = row.before == nullptr ? step_sixteens<true>(row, s.channels, work.decay, work.u)
                                 : step_sixteens<false>(row, s.channels, work.decay, work.u);
  }
#endif
  step_any(s, row, done, work.decay, work.u);
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

HWY_NOINLINE void scan_block(const Call &call, const ScanShape &s, const Operands &o,
                             const ScanWork &work) {
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
      step_row(s, one_row_of(o, t, q), work);
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

void selective_scan(const Call &call) {
  const ScanShape s(*call.node);
  const Operands o(call);
  const auto work = work_of<ScanWork>(s, call);
  if (one_row(call) && !o.bounds) {
    step_row(s, one_row_of(o, call.begin, call.first_sequence), work);
  } else {
    scan_block(call, s, o, work);
  }
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
