// h[t, e, n] = exp(delta[t, e] a[e, n]) h[t-1, e, n] + delta[t, e] b[t, n] x[t, e]
// y[t, e]    = sum over n of c[t, n] h[t, e, n]  +  d[e] x[t, e]
// Gu & Dao, arXiv 2312.00752, algorithm 2; spec E.5.5.
#include "selective_scan.hpp"

#include "../math.hpp"

namespace calm::reference {
namespace {

constexpr double kOps = 24;  // an element of h

template <class Real>
struct Operands {
  const Real *x, *delta, *a, *b, *c, *d, *state_in;
  const std::int32_t *offsets;
  Real *y, *bounds, *state_out;

  explicit Operands(const Call &call)
      : x(call.in<Real>(CALM_SELECTIVE_SCAN_X)),
        delta(call.in<Real>(CALM_SELECTIVE_SCAN_DELTA)),
        a(call.in<Real>(CALM_SELECTIVE_SCAN_A)),
        b(call.in<Real>(CALM_SELECTIVE_SCAN_B)),
        c(call.in<Real>(CALM_SELECTIVE_SCAN_C)),
        d(call.in<Real>(CALM_SELECTIVE_SCAN_D)),
        state_in(call.in<Real>(CALM_SELECTIVE_SCAN_STATE_IN)),
        offsets(call.in<std::int32_t>(CALM_SELECTIVE_SCAN_OFFSETS)),
        y(call.out<Real>(CALM_SELECTIVE_SCAN_Y)),
        bounds(call.out<Real>(CALM_SELECTIVE_SCAN_BOUNDS)),
        state_out(call.out<Real>(CALM_SELECTIVE_SCAN_STATE_OUT)) {}
};

/// What a shard (a group of sequences, a block of channels) works on, both [N, 16].
template <class Real>
struct Work {
  Real *a, *h;
  Work(const ScanShape &s, Scratch &scratch)
      : a(scratch.take<Real>(s.block_size())), h(scratch.take<Real>(s.block_size())) {}
};

template <class Real>
std::size_t work_bytes(const ScanShape &s) {
  Scratch measure;
  const Work<Real> one(s, measure);
  return measure.used();
}

/// One row of one block: h forward by a step, y if wanted.
template <class Real>
CALM_INLINE void scan_row(const ScanShape &s, const Operands<Real> &o, const Work<Real> &work,
                          std::size_t t, std::size_t channel, std::size_t lanes) {
  Real x[kScanLanes];
  Real delta[kScanLanes];
  Real u[kScanLanes];
  Real y[kScanLanes] = {};
  load_lanes(o.x + t * s.channels + channel, lanes, x);
  load_lanes(o.delta + t * s.channels + channel, lanes, delta);
  for (std::size_t l = 0; l < kScanLanes; ++l) {
    u[l] = delta[l] * x[l];
  }
  for (std::size_t n = 0; n < s.states; ++n) {
    const Real b = o.b[t * s.states + n];
    const Real c = o.c[t * s.states + n];
    const Real *__restrict const a = work.a + n * kScanLanes;
    Real *__restrict const h = work.h + n * kScanLanes;
    for (std::size_t l = 0; l < kScanLanes; ++l) {
      const Real next = exp_of(delta[l] * a[l]) * h[l] + u[l] * b;
      h[l] = next;
      y[l] += c * next;
    }
  }
  if (o.y != nullptr) {
    Real *const out = o.y + t * s.channels + channel;
    for (std::size_t l = 0; l < lanes; ++l) {
      out[l] = y[l] + o.d[channel + l] * x[l];
    }
  }
}

template <class Real>
CALM_INLINE void scan_sequence(const ScanShape &s, const Operands<Real> &o, const Work<Real> &work,
                               std::size_t sequence, std::size_t channel, std::size_t lanes) {
  const auto begin = static_cast<std::size_t>(o.offsets[sequence]);
  const auto end = static_cast<std::size_t>(o.offsets[sequence + 1]);
  const std::size_t state = (sequence * s.channels + channel) * s.states;
  if (o.state_in != nullptr) {
    load_block(s, o.state_in + state, lanes, work.h);
  } else {
    std::fill_n(work.h, s.block_size(), Real{0});
  }
  for (std::size_t t = begin; t < end; ++t) {
    if (o.bounds != nullptr && t % CALM_SCAN_CHUNK == 0 && t > begin) {
      const std::size_t chunk = t / CALM_SCAN_CHUNK;
      store_block(s, work.h, lanes, o.bounds + (chunk * s.channels + channel) * s.states);
    }
    scan_row(s, o, work, t, channel, lanes);
  }
  if (o.state_out != nullptr) {
    store_block(s, work.h, lanes, o.state_out + state);
  }
}

}  // namespace

template <class Real>
std::size_t selective_scan_plan(const Node &node) {
  const ScanShape s(node);
  return s.groups * s.blocks * work_bytes<Real>(s);
}

template <class Real>
void selective_scan(const Call &call) {
  const ScanShape s(call.node());
  const Operands<Real> o(call);
  const std::size_t bytes = work_bytes<Real>(s);
  if (o.bounds != nullptr) {
    std::fill_n(o.bounds, s.chunks * s.channels * s.states, Real{0});
  }
  for_shards(call, s.groups * s.blocks, s.work(kOps), [&](std::size_t shard, auto) CALM_LAMBDA {
    Scratch scratch(call.scratch() + shard * bytes);
    const Work<Real> work(s, scratch);
    const std::size_t block = shard % s.blocks;
    const std::size_t channel = block * kScanLanes;
    const std::size_t lanes = s.lanes(block);
    load_block(s, o.a + channel * s.states, lanes, work.a);
    const auto [first, last] = part(s.sequences, s.groups, shard / s.blocks);
    for (std::size_t sequence = first; sequence < last; ++sequence) {
      scan_sequence(s, o, work, sequence, channel, lanes);
    }
  });
  if (o.y != nullptr) {
    const auto live = static_cast<std::size_t>(o.offsets[s.sequences]);
    std::fill_n(o.y + live * s.channels, (s.rows - live) * s.channels, Real{0});
  }
}

CALM_PLANNED_KERNEL(selective_scan);

}  // namespace calm::reference
