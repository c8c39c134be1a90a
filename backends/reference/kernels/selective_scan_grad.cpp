// Gradient of the selective scan (spec E.6). With g[t] = dL/dy[t], w[t] = exp(delta[t] a):
//   dh[t]      = c[t] g[t] + w[t+1] dh[t+1]
//   grad_x     = d g + sum over n of dh delta b
//   grad_delta = sum over n of dh (a w h[t-1] + b x)
//   grad_a     = sum over rows of dh delta w h[t-1],      grad_d = sum over rows of g x
//   grad_b     = sum over channels of dh delta x,         grad_c = sum over channels of g h[t]
//
// Chunks of 64 rows run from the last to the first: forward again from `bounds` keeping h and w,
// then backward. Sums over a chunk's rows are kept in the operands' type and added up in double.
#include "selective_scan.hpp"

#include "../math.hpp"

namespace calm::reference {
namespace {

constexpr double kOps = 60;  // an element of h

template <class Real>
struct Operands {
  const Real *x, *delta, *a, *b, *c, *d, *bounds, *grad;
  const std::int32_t *offsets;
  Real *grad_x, *grad_delta, *grad_a, *grad_b, *grad_c, *grad_d;

  explicit Operands(const Call &call)
      : x(call.in<Real>(CALM_SELECTIVE_SCAN_X)),
        delta(call.in<Real>(CALM_SELECTIVE_SCAN_DELTA)),
        a(call.in<Real>(CALM_SELECTIVE_SCAN_A)),
        b(call.in<Real>(CALM_SELECTIVE_SCAN_B)),
        c(call.in<Real>(CALM_SELECTIVE_SCAN_C)),
        d(call.in<Real>(CALM_SELECTIVE_SCAN_D)),
        bounds(call.in<Real>(CALM_SELECTIVE_SCAN_GRAD_BOUNDS)),
        grad(call.in<Real>(CALM_SELECTIVE_SCAN_GRAD_GRAD)),
        offsets(call.in<std::int32_t>(CALM_SELECTIVE_SCAN_OFFSETS)),
        grad_x(call.out<Real>(0)),
        grad_delta(call.out<Real>(1)),
        grad_a(call.out<Real>(2)),
        grad_b(call.out<Real>(3)),
        grad_c(call.out<Real>(4)),
        grad_d(call.out<Real>(5)) {}
};

/// What a group of sequences works on.
template <class Real>
struct Work {
  Real *a;         // [blocks, N, 16]
  Real *carry;     // [blocks, N, 16]  w[t+1] dh[t+1] of the row after the chunk
  double *grad_a;  // [blocks, N, 16]
  double *grad_d;  // [blocks, 16]
  Real *h;         // [65, N, 16]      h before row 0 of the chunk, then after each row
  Real *w;         // [64, N, 16]
  Real *chunk_a;   // [N, 16]          grad_a of one chunk
  Real *b, *c;     // [64, N, 16]      grad_b and grad_c before the sum over the 16 lanes

  Work(const ScanShape &s, Scratch &scratch)
      : a(scratch.take<Real>(s.blocks * s.block_size())),
        carry(scratch.take<Real>(s.blocks * s.block_size())),
        grad_a(scratch.take<double>(s.blocks * s.block_size())),
        grad_d(scratch.take<double>(s.blocks * kScanLanes)),
        h(scratch.take<Real>((CALM_SCAN_CHUNK + 1) * s.block_size())),
        w(scratch.take<Real>(CALM_SCAN_CHUNK * s.block_size())),
        chunk_a(scratch.take<Real>(s.block_size())),
        b(scratch.take<Real>(CALM_SCAN_CHUNK * s.block_size())),
        c(scratch.take<Real>(CALM_SCAN_CHUNK * s.block_size())) {}
};

template <class Real>
std::size_t work_bytes(const ScanShape &s) {
  Scratch measure;
  const Work<Real> one(s, measure);
  return measure.used();
}

/// Rows of one sequence inside one chunk, and a block of channels.
struct Piece {
  std::size_t begin, rows, block, channel, lanes;
};

// The two inner loops, 16 channels of one state of one row. Their arrays never overlap; saying so
// lets the compiler do all channels at once.

template <class Real>
CALM_INLINE void forward_cell(Real b, const Real *__restrict delta, const Real *__restrict u,
                              const Real *__restrict grad, const Real *__restrict a,
                              const Real *__restrict before, Real *__restrict h, Real *__restrict w,
                              Real *__restrict grad_c) {
  for (std::size_t l = 0; l < kScanLanes; ++l) {
    const Real decay = exp_of(delta[l] * a[l]);
    const Real next = decay * before[l] + u[l] * b;
    w[l] = decay;
    h[l] = next;
    grad_c[l] += grad[l] * next;
  }
}

template <class Real>
CALM_INLINE void backward_cell(Real b, Real c, const Real *__restrict delta,
                               const Real *__restrict u, const Real *__restrict grad,
                               const Real *__restrict a, const Real *__restrict before,
                               const Real *__restrict w, Real *__restrict carry,
                               Real *__restrict dh_b, Real *__restrict dh_aw,
                               Real *__restrict grad_a, Real *__restrict grad_b) {
  for (std::size_t l = 0; l < kScanLanes; ++l) {
    const Real dh = c * grad[l] + carry[l];
    const Real kept = dh * (w[l] * before[l]);
    carry[l] = w[l] * dh;
    dh_b[l] += dh * b;
    dh_aw[l] += kept * a[l];
    grad_a[l] += kept * delta[l];
    grad_b[l] += dh * u[l];
  }
}

/// Forward through a piece: h and w of every row, and grad_c.
template <class Real>
CALM_INLINE void recompute(const ScanShape &s, const Operands<Real> &o, const Work<Real> &work,
                           const Piece &p) {
  const Real *const a_block = work.a + p.block * s.block_size();
  for (std::size_t r = 0; r < p.rows; ++r) {
    const std::size_t at = (p.begin + r) * s.channels + p.channel;
    Real delta[kScanLanes];
    Real grad[kScanLanes];
    Real u[kScanLanes];
    load_lanes(o.x + at, p.lanes, u);
    load_lanes(o.delta + at, p.lanes, delta);
    load_lanes(o.grad + at, p.lanes, grad);
    for (std::size_t l = 0; l < kScanLanes; ++l) {
      u[l] *= delta[l];
    }
    for (std::size_t n = 0; n < s.states; ++n) {
      const Real b = o.b[(p.begin + r) * s.states + n];
      const std::size_t cell = r * s.block_size() + n * kScanLanes;
      const Real *const before = work.h + cell;
      forward_cell(b, delta, u, grad, a_block + n * kScanLanes, before,
                   work.h + cell + s.block_size(), work.w + cell, work.c + cell);
    }
  }
}

/// Backward through one row: `carry` from the row after it to this one.
template <class Real>
CALM_INLINE void backward_row(const ScanShape &s, const Operands<Real> &o, const Work<Real> &work,
                              const Piece &p, std::size_t r, Real (&grad_d)[kScanLanes]) {
  const std::size_t t = p.begin + r;
  const std::size_t at = t * s.channels + p.channel;
  Real x[kScanLanes];
  Real delta[kScanLanes];
  Real grad[kScanLanes];
  Real u[kScanLanes];
  Real dh_b[kScanLanes] = {};   // sum over n of dh b
  Real dh_aw[kScanLanes] = {};  // sum over n of dh a w h[t-1]
  load_lanes(o.x + at, p.lanes, x);
  load_lanes(o.delta + at, p.lanes, delta);
  load_lanes(o.grad + at, p.lanes, grad);
  for (std::size_t l = 0; l < kScanLanes; ++l) {
    u[l] = delta[l] * x[l];
    grad_d[l] += grad[l] * x[l];
  }
  for (std::size_t n = 0; n < s.states; ++n) {
    const Real b = o.b[t * s.states + n];
    const Real c = o.c[t * s.states + n];
    const std::size_t lane0 = n * kScanLanes;
    const std::size_t cell = r * s.block_size() + lane0;
    const std::size_t in_block = p.block * s.block_size() + lane0;
    backward_cell(b, c, delta, u, grad, work.a + in_block, work.h + cell, work.w + cell,
                  work.carry + in_block, dh_b, dh_aw, work.chunk_a + lane0, work.b + cell);
  }
  if (o.grad_x != nullptr) {
    for (std::size_t l = 0; l < p.lanes; ++l) {
      o.grad_x[at + l] = o.d[p.channel + l] * grad[l] + delta[l] * dh_b[l];
    }
  }
  if (o.grad_delta != nullptr) {
    for (std::size_t l = 0; l < p.lanes; ++l) {
      o.grad_delta[at + l] = dh_aw[l] + x[l] * dh_b[l];
    }
  }
}

template <class Real>
CALM_INLINE void backward(const ScanShape &s, const Operands<Real> &o, const Work<Real> &work,
                          const Piece &p) {
  Real grad_d[kScanLanes] = {};
  std::fill_n(work.chunk_a, s.block_size(), Real{0});
  for (std::size_t r = p.rows; r-- > 0;) {
    backward_row(s, o, work, p, r, grad_d);
  }
  double *const sum_a = work.grad_a + p.block * s.block_size();
  for (std::size_t i = 0; i < s.block_size(); ++i) {
    sum_a[i] += static_cast<double>(work.chunk_a[i]);
  }
  for (std::size_t l = 0; l < kScanLanes; ++l) {
    work.grad_d[p.block * kScanLanes + l] += static_cast<double>(grad_d[l]);
  }
}

/// out[i] = the sum of 16 lanes, as a tree.
template <class Real>
CALM_INLINE void sum_lanes(Real *cells, std::size_t n, Real *out) {
  for (std::size_t i = 0; i < n; ++i) {
    Real *const lane = cells + i * kScanLanes;
    for (std::size_t l = 0; l < 8; ++l) {
      lane[l] += lane[l + 8];
    }
    for (std::size_t l = 0; l < 4; ++l) {
      lane[l] += lane[l + 4];
    }
    out[i] = (lane[0] + lane[2]) + (lane[1] + lane[3]);
  }
}

/// All channels of the rows [begin, end) of one chunk, of a sequence that starts at `start`.
template <class Real>
CALM_INLINE void scan_chunk(const ScanShape &s, const Operands<Real> &o, const Work<Real> &work,
                            std::size_t start, std::size_t begin, std::size_t end) {
  const std::size_t rows = end - begin;
  std::fill_n(work.b, rows * s.block_size(), Real{0});
  std::fill_n(work.c, rows * s.block_size(), Real{0});
  for (std::size_t block = 0; block < s.blocks; ++block) {
    const Piece p = {begin, rows, block, block * kScanLanes, s.lanes(block)};
    if (begin > start) {
      const std::size_t chunk = begin / CALM_SCAN_CHUNK;
      load_block(s, o.bounds + (chunk * s.channels + p.channel) * s.states, p.lanes, work.h);
    } else {
      std::fill_n(work.h, s.block_size(), Real{0});
    }
    recompute(s, o, work, p);
    backward(s, o, work, p);
  }
  if (o.grad_b != nullptr) {
    sum_lanes(work.b, rows * s.states, o.grad_b + begin * s.states);
  }
  if (o.grad_c != nullptr) {
    sum_lanes(work.c, rows * s.states, o.grad_c + begin * s.states);
  }
}

template <class Real>
CALM_INLINE void scan_group(const ScanShape &s, const Operands<Real> &o, const Work<Real> &work,
                            std::size_t group) {
  const std::size_t all = s.blocks * s.block_size();
  for (std::size_t block = 0; block < s.blocks; ++block) {
    load_block(s, o.a + block * kScanLanes * s.states, s.lanes(block),
               work.a + block * s.block_size());
  }
  std::fill_n(work.grad_a, all, 0.0);
  std::fill_n(work.grad_d, s.blocks * kScanLanes, 0.0);
  const auto [first, last] = part(s.sequences, s.groups, group);
  for (std::size_t sequence = first; sequence < last; ++sequence) {
    const auto start = static_cast<std::size_t>(o.offsets[sequence]);
    auto end = static_cast<std::size_t>(o.offsets[sequence + 1]);
    std::fill_n(work.carry, all, Real{0});
    while (end > start) {
      const std::size_t chunk = (end - 1) / CALM_SCAN_CHUNK * CALM_SCAN_CHUNK;
      const std::size_t begin = std::max(start, chunk);
      scan_chunk(s, o, work, start, begin, end);
      end = begin;
    }
  }
}

/// grad_a and grad_d: the groups' sums, added in order.
template <class Real>
void combine(const Call &call, const ScanShape &s, const Operands<Real> &o, std::size_t bytes) {
  for_shards(call, s.blocks, static_cast<double>(s.groups * s.channels * s.states),
             [&](std::size_t block, auto) CALM_LAMBDA {
               for (std::size_t l = 0; l < s.lanes(block); ++l) {
                 const std::size_t channel = block * kScanLanes + l;
                 for (std::size_t n = 0; o.grad_a != nullptr && n < s.states; ++n) {
                   double sum = 0;
                   for (std::size_t group = 0; group < s.groups; ++group) {
                     Scratch scratch(call.scratch() + group * bytes);
                     const Work<Real> work(s, scratch);
                     sum += work.grad_a[block * s.block_size() + n * kScanLanes + l];
                   }
                   o.grad_a[channel * s.states + n] = static_cast<Real>(sum);
                 }
                 if (o.grad_d != nullptr) {
                   double sum = 0;
                   for (std::size_t group = 0; group < s.groups; ++group) {
                     Scratch scratch(call.scratch() + group * bytes);
                     const Work<Real> work(s, scratch);
                     sum += work.grad_d[channel];
                   }
                   o.grad_d[channel] = static_cast<Real>(sum);
                 }
               }
             });
}

template <class Real>
void zero_dead_rows(Real *out, std::size_t live, std::size_t rows, std::size_t width) {
  if (out != nullptr) {
    std::fill_n(out + live * width, (rows - live) * width, Real{0});
  }
}

}  // namespace

template <class Real>
std::size_t selective_scan_grad_plan(const Node &node) {
  const ScanShape s(node);
  return s.groups * work_bytes<Real>(s);
}

template <class Real>
void selective_scan_grad(const Call &call) {
  const ScanShape s(call.node());
  const Operands<Real> o(call);
  const std::size_t bytes = work_bytes<Real>(s);
  for_shards(call, s.groups, s.work(kOps), [&](std::size_t group, auto) CALM_LAMBDA {
    Scratch scratch(call.scratch() + group * bytes);
    scan_group(s, o, Work<Real>(s, scratch), group);
  });
  combine(call, s, o, bytes);
  const auto live = static_cast<std::size_t>(o.offsets[s.sequences]);
  zero_dead_rows(o.grad_x, live, s.rows, s.channels);
  zero_dead_rows(o.grad_delta, live, s.rows, s.channels);
  zero_dead_rows(o.grad_b, live, s.rows, s.states);
  zero_dead_rows(o.grad_c, live, s.rows, s.states);
}

CALM_PLANNED_KERNEL(selective_scan_grad);

}  // namespace calm::reference
