// Gradient of the selective scan (spec E.6). With g[t] = dL/dy[t], w[t] = exp(delta[t] a):
//   dh[t]      = c[t] g[t] + w[t+1] dh[t+1]
//   grad_x     = d g + sum over n of dh delta b
//   grad_delta = sum over n of dh (a w h[t-1] + b x)
//   grad_a     = sum over rows of dh delta w h[t-1],      grad_d = sum over rows of g x
//   grad_b     = sum over channels of dh delta x,         grad_c = sum over channels of g h[t]
//
// The blocks of a shard come from the last to the first. A vector of channels and a few states at a
// time go forward through the rows from `bounds`, keeping w and w h[t-1], then backward; so there
// is one exponential for each element of h. Sums over channels are of four lanes each in registers,
// then over the blocks of channels in memory, and complete with the block of rows.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/selective_scan_grad.cpp"
#include "onednn/simd.hpp"
// Above before below.
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "onednn/kernels/scan-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace {

/// States in registers at a time.
inline constexpr std::size_t kMostStates = HWY_TARGET == HWY_AVX3 ? ScanGradWork::kMostStates : 4;
/// Numbers that hold the partial sums over channels of 4 states.
inline constexpr std::size_t kQuadSums = kLanes < 4 ? 4 : kLanes;

struct Operands {
  Operand x, delta, b, c, bounds, grad, grad_x, grad_delta, grad_a, grad_b, grad_c, grad_d;
  const float *a, *d;

  explicit Operands(const Call &call)
      : x(call.ins[CALM_SELECTIVE_SCAN_X]),
        delta(call.ins[CALM_SELECTIVE_SCAN_DELTA]),
        b(call.ins[CALM_SELECTIVE_SCAN_B]),
        c(call.ins[CALM_SELECTIVE_SCAN_C]),
        bounds(call.ins[CALM_SELECTIVE_SCAN_GRAD_BOUNDS]),
        grad(call.ins[CALM_SELECTIVE_SCAN_GRAD_GRAD]),
        grad_x(output(call, 0)),
        grad_delta(output(call, 1)),
        grad_a(output(call, 2)),
        grad_b(output(call, 3)),
        grad_c(output(call, 4)),
        grad_d(output(call, 5)),
        a(call.ins[CALM_SELECTIVE_SCAN_A].at<const float>(0)),
        d(call.ins[CALM_SELECTIVE_SCAN_D].at<const float>(0)) {}
};

/// Rows of one sequence, and a block of channels of them.
struct Piece {
  std::size_t rows;
  ConstColumn x, delta, grad;
  Rows b, c;
  Column grad_x, grad_delta;
  float *sum_b, *sum_c;      // of the first row
  std::size_t quads_stride;  // of sum_b and sum_c, from row to row
};

/// Adds the sums over lanes of four vectors to those at `to`, four lanes together.
HWY_INLINE void add_sums(Vector a, Vector b, Vector c, Vector d, float *to) {
#if HWY_TARGET == HWY_SCALAR
  to[0] += hn::GetLane(a);
  to[1] += hn::GetLane(b);
  to[2] += hn::GetLane(c);
  to[3] += hn::GetLane(d);
#else
  hn::Store(hn::Add(hn::Load(kFloats, to), sum_blocks(a, b, c, d)), kFloats, to);
#endif
}
/// What add_sums has added up at `from`.
HWY_INLINE void finish_sums(const float *from, float *to) {
#if HWY_TARGET == HWY_SCALAR
  std::copy_n(from, 4, to);
#else
  hn::StoreU(add_blocks(kFloats, hn::Load(kFloats, from)), Quad(), to);
#endif
}

/// kStates states from `n` on, forward: w and w h[t-1] of every row, and grad_c.
template <std::size_t kStates>
HWY_INLINE void forward(const Piece &p, std::size_t n, const float *HWY_RESTRICT a,
                        const float *HWY_RESTRICT before, float *HWY_RESTRICT kept) {
  const Floats f;
  Vector h[kStates];
  HWY_UNROLL(8)
  for (std::size_t i = 0; i < kStates; ++i) {
    h[i] = hn::Load(f, before + i * kLanes);
  }
  const Vector log2e = hn::Set(f, kLog2e);
  for (std::size_t r = 0; r < p.rows; ++r) {
    const float *HWY_RESTRICT const b = p.b.data + r * p.b.stride + n;
    float *HWY_RESTRICT const to = kept + r * kStates * 2 * kLanes;
    float *HWY_RESTRICT const sums = p.sum_c + r * p.quads_stride + n / 4 * kQuadSums;
    const Vector delta = hn::LoadU(f, p.delta.row(r));
    const Vector grad = hn::LoadU(f, p.grad.row(r));
    const Vector u = hn::Mul(delta, hn::LoadU(f, p.x.row(r)));
    const Vector step = hn::Mul(delta, log2e);
    HWY_UNROLL(2)
    for (std::size_t q = 0; q < kStates; q += 4) {
      Vector grad_c[4];
      HWY_UNROLL(4)
      for (std::size_t k = 0; k < 4; ++k) {
        const std::size_t i = q + k;
        const Vector w = exp2_of(f, hn::Mul(step, hn::Load(f, a + i * kLanes)));
        const Vector decayed = hn::Mul(w, h[i]);
        hn::Store(w, f, to + 2 * i * kLanes);
        hn::Store(decayed, f, to + (2 * i + 1) * kLanes);
        h[i] = hn::MulAdd(u, hn::Set(f, b[i]), decayed);
        grad_c[k] = hn::Mul(grad, h[i]);
      }
      add_sums(grad_c[0], grad_c[1], grad_c[2], grad_c[3], sums + q / 4 * kQuadSums);
    }
  }
}

/// The same states backward: `next` from the row after to the first row, grad_a and grad_b; and
/// with the last states grad_x and grad_delta.
template <std::size_t kStates>
HWY_INLINE void backward(const Piece &p, std::size_t n, bool last, const float *HWY_RESTRICT a,
                         const float *HWY_RESTRICT kept, float *HWY_RESTRICT next,
                         float *HWY_RESTRICT sum_a, float *HWY_RESTRICT over_states, Vector skip) {
  const Floats f;
  Vector carry[kStates];
  Vector grad_a[kStates];
  HWY_UNROLL(8)
  for (std::size_t i = 0; i < kStates; ++i) {
    carry[i] = hn::Load(f, next + i * kLanes);
    grad_a[i] = hn::Load(f, sum_a + i * kLanes);
  }
  for (std::size_t r = p.rows; r-- > 0;) {
    const float *HWY_RESTRICT const b = p.b.data + r * p.b.stride + n;
    const float *HWY_RESTRICT const c = p.c.data + r * p.c.stride + n;
    const float *HWY_RESTRICT const from = kept + r * kStates * 2 * kLanes;
    float *HWY_RESTRICT const sums = p.sum_b + r * p.quads_stride + n / 4 * kQuadSums;
    float *HWY_RESTRICT const both = over_states + r * 2 * kLanes;
    const Vector delta = hn::LoadU(f, p.delta.row(r));
    const Vector grad = hn::LoadU(f, p.grad.row(r));
    const Vector x = hn::LoadU(f, p.x.row(r));
    const Vector u = hn::Mul(delta, x);
    Vector dh_b = n == 0 ? hn::Zero(f) : hn::Load(f, both);
    Vector dh_aw = n == 0 ? hn::Zero(f) : hn::Load(f, both + kLanes);
    HWY_UNROLL(2)
    for (std::size_t q = 0; q < kStates; q += 4) {
      Vector grad_b[4];
      HWY_UNROLL(4)
      for (std::size_t k = 0; k < 4; ++k) {
        const std::size_t i = q + k;
        const Vector dh = hn::MulAdd(hn::Set(f, c[i]), grad, carry[i]);
        const Vector through = hn::Mul(dh, hn::Load(f, from + (2 * i + 1) * kLanes));
        carry[i] = hn::Mul(dh, hn::Load(f, from + 2 * i * kLanes));
        dh_b = hn::MulAdd(hn::Set(f, b[i]), dh, dh_b);
        dh_aw = hn::MulAdd(hn::Load(f, a + i * kLanes), through, dh_aw);
        grad_a[i] = hn::MulAdd(through, delta, grad_a[i]);
        grad_b[k] = hn::Mul(dh, u);
      }
      add_sums(grad_b[0], grad_b[1], grad_b[2], grad_b[3], sums + q / 4 * kQuadSums);
    }
    if (last) {
      hn::StoreU(hn::MulAdd(skip, grad, hn::Mul(dh_b, delta)), f, p.grad_x.row(r));
      hn::StoreU(hn::MulAdd(dh_b, x, dh_aw), f, p.grad_delta.row(r));
    } else {
      hn::Store(dh_b, f, both);
      hn::Store(dh_aw, f, both + kLanes);
    }
  }
  HWY_UNROLL(8)
  for (std::size_t i = 0; i < kStates; ++i) {
    hn::Store(carry[i], f, next + i * kLanes);
    hn::Store(grad_a[i], f, sum_a + i * kLanes);
  }
}

template <std::size_t kStates>
HWY_NOINLINE void both_ways(const ScanShape &s, const ScanGradWork &work, const Piece &p,
                            std::size_t block, std::size_t n, Vector skip) {
  const std::size_t at = block * block_size(s) + n * kLanes;
  forward<kStates>(p, n, work.a + at, work.h + n * kLanes, work.kept);
  backward<kStates>(p, n, n + kStates == s.padded, work.a + at, work.kept, work.next + at,
                    work.sum_a + at, work.sums, skip);
}

/// All states of a block of channels.
void scan_piece(const ScanShape &s, const ScanGradWork &work, const Piece &p, std::size_t block,
                Vector skip) {
  const Floats f;
  std::size_t n = 0;
  for (; n + kMostStates <= s.padded; n += kMostStates) {
    both_ways<kMostStates>(s, work, p, block, n, skip);
  }
  if (n < s.padded) {
    both_ways<4>(s, work, p, block, n, skip);
  }
  Vector sum = hn::Load(f, work.sum_d + block * kLanes);
  for (std::size_t r = 0; r < p.rows; ++r) {
    sum = hn::MulAdd(hn::LoadU(f, p.grad.row(r)), hn::LoadU(f, p.x.row(r)), sum);
  }
  hn::Store(sum, f, work.sum_d + block * kLanes);
}

/// Rows [begin, end) of the sequence with the rows [first, last).
void scan_rows(const ScanShape &s, const Call &call, const Operands &o, const ScanGradWork &work,
               Rows b, Rows c, std::size_t begin, std::size_t end, std::size_t first,
               std::size_t last) {
  const Floats f;
  const std::size_t quads_stride = s.padded / 4 * kQuadSums;
  const std::size_t at = begin - call.begin;
  const std::size_t rows = end - begin;
  if (end == last) {
    std::fill_n(work.next, s.all(), 0.0F);
  }
  for (std::size_t block = 0; block < blocks_of(s.channels); ++block) {
    const std::size_t channel = block * kLanes;
    const std::size_t lanes = lanes_of(s.channels, block);
    if (begin == first) {
      std::fill_n(work.h, block_size(s), 0.0F);
    } else {
      load_block(o.bounds.at<const float>(begin / kChunk), s.channels, s.states, block, work.h,
                 s.padded);
    }
    const Piece p = {rows,
                     read_column(o.x, begin, rows, channel, lanes, work.rows[0]),
                     read_column(o.delta, begin, rows, channel, lanes, work.rows[1]),
                     read_column(o.grad, begin, rows, channel, lanes, work.rows[2]),
                     {b.data + at * b.stride, b.stride},
                     {c.data + at * c.stride, c.stride},
                     write_column(o.grad_x, begin, channel, lanes, work.rows[3]),
                     write_column(o.grad_delta, begin, channel, lanes, work.rows[4]),
                     work.sum_b + at * quads_stride,
                     work.sum_c + at * quads_stride,
                     quads_stride};
    const Vector skip = lanes == kLanes ? hn::LoadU(f, o.d + channel)
                                        : hn::MaskedLoad(hn::FirstN(f, lanes), f, o.d + channel);
    scan_piece(s, work, p, block, skip);
    finish_column(o.grad_x, begin, rows, channel, lanes, work.rows[3]);
    finish_column(o.grad_delta, begin, rows, channel, lanes, work.rows[4]);
  }
}

/// The block's sums over channels, to grad_b or grad_c.
void finish_rows(const ScanShape &s, const float *sums, const Operand &to, std::size_t begin,
                 std::size_t end) {
  for (std::size_t t = begin; to && t < end; ++t) {
    float *const row = to.at(t);
    for (std::size_t n = 0; n < s.states; n += 4, sums += kQuadSums) {
      if (n + 4 <= s.states) {
        finish_sums(sums, row + n);
      } else {
        float part[4];
        finish_sums(sums, part);
        std::copy_n(part, s.states - n, row + n);
      }
    }
  }
}

/// The block's sums over rows, to the shard's.
void finish_block(const ScanShape &s, const Operands &o, const ScanGradWork &work) {
  for (std::size_t block = 0; o.grad_a && block < blocks_of(s.channels); ++block) {
    add_block(work.sum_a + block * block_size(s), s.channels, s.states, block,
              o.grad_a.at<double>(0), work.kept);
  }
  for (std::size_t e = 0; o.grad_d && e < s.channels; ++e) {
    o.grad_d.at<double>(0)[e] += static_cast<double>(work.sum_d[e]);
  }
}

void selective_scan_grad(const Call &call) {
  const ScanShape s(*call.node);
  const Operands o(call);
  const auto work = work_of<ScanGradWork>(s, call);
  const std::size_t live = live_end(call);
  if (call.first_block(true)) {
    load_states(s, o.a, work.a);
  }
  if (live > call.begin) {
    std::fill_n(work.sum_a, s.all(), 0.0F);
    std::fill_n(work.sum_d, s.padded_channels(), 0.0F);
    const std::size_t sums = (live - call.begin) * (s.padded / 4) * kQuadSums;
    std::fill_n(work.sum_b, sums, 0.0F);
    std::fill_n(work.sum_c, sums, 0.0F);
    const Rows b = padded_rows(s, o.b, call.begin, live, work.b);
    const Rows c = padded_rows(s, o.c, call.begin, live, work.c);
    // The sequence of the last row, and so on to the one of the first.
    std::size_t q = sequence_of(call, live - 1);
    for (std::size_t end = live; end > call.begin; --q) {
      const std::size_t begin = std::max(row_of(call, q), call.begin);
      if (begin < end) {
        scan_rows(s, call, o, work, b, c, begin, end, row_of(call, q), row_of(call, q + 1));
        end = begin;
      }
    }
    finish_rows(s, work.sum_b, o.grad_b, call.begin, live);
    finish_rows(s, work.sum_c, o.grad_c, call.begin, live);
    finish_block(s, o, work);
  }
  zero_rows(o.grad_x, live, call.end, s.channels);
  zero_rows(o.grad_delta, live, call.end, s.channels);
  zero_rows(o.grad_b, live, call.end, s.states);
  zero_rows(o.grad_c, live, call.end, s.states);
}

}  // namespace
}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {
constexpr Variants kRun = CALM_VARIANTS(selective_scan_grad);
}  // namespace

extern const Kernel kSelectiveScanGrad;
const Kernel kSelectiveScanGrad{
    .op = "selective_scan_grad",
    .signature =
        "r[T,E] r[T,E] r[E,N] r[T,N] r[T,N] r[E] i[S+1] r[T/64,E,N] r[T,E] "
        "-> r[T,E] r[T,E] r[E,N] r[T,N] r[T,N] r[E]",
    .run = kRun,
    .order = Order::kDescending,
    .sums = 1U << 2 | 1U << 5,
    .wide = 1U << 2 | 1U << 5,
    .carry = carry_bytes<ScanShape, ScanGradWork>,
    .scratch = scratch_bytes<ScanShape, ScanGradWork>};

}  // namespace calm::onednn
#endif
