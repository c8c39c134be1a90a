// c[t, e] = sum over k < K of weight[e, k] x[t - k, e], y = silu(c): a true depthwise convolution,
// each sequence alone (spec E.5.2).
//
// Backward, with dc = grad silu'(c): grad_x[t - k, e] += weight[e, k] dc[t, e],
// grad_weight[e, k] = sum over t of dc[t, e] x[t - k, e].
#include <calm/ops/causal_conv_silu.h>

#include <calm/cpp/error.hpp>

#include <algorithm>

#include "../math.hpp"
#include "../parallel.hpp"

namespace calm::reference {
namespace {

constexpr std::size_t kBlockRows = 64;  // summed in the operands' type before going into a double

/// Sizes, and the sequences split into groups that one shard handles in order.
struct Shape {
  std::size_t rows, channels, taps, sequences, groups;
  explicit Shape(const Node &node)
      : rows(node.extent(CALM_CAUSAL_CONV_SILU_X, 0)),
        channels(node.extent(CALM_CAUSAL_CONV_SILU_X, 1)),
        taps(node.extent(CALM_CAUSAL_CONV_SILU_WEIGHT, 1)),
        sequences(node.extent(CALM_CAUSAL_CONV_SILU_OFFSETS, 0) - 1),
        groups(groups_of(sequences)) {}
  double work() const {
    return static_cast<double>(rows) * static_cast<double>(channels) *
           static_cast<double>(2 * taps + 24);
  }
};

void check_taps(const Shape &s) {
  if (s.taps == 0) {
    throw Error(CALM_INVALID_ARGUMENT, "expected a kernel of one tap or more, found none");
  }
}

/// to[k, e] = weight[e, k], so that inner loops run along channels.
template <class Real>
void transpose(const Shape &s, const Real *weight, Real *to) {
  for (std::size_t e = 0; e < s.channels; ++e) {
    for (std::size_t k = 0; k < s.taps; ++k) {
      to[k * s.channels + e] = weight[e * s.taps + k];
    }
  }
}

/// c[e] of row t of a sequence that begins at row `begin`; `state` (null: zeros) is what came
/// before.
template <class Real>
CALM_INLINE void convolve_row(const Shape &s, const Real *x, const Real *taps, const Real *state,
                              std::size_t begin, std::size_t t, Real *c) {
  const std::size_t d = s.channels;
  for (std::size_t e = 0; e < d; ++e) {
    c[e] = taps[e] * x[t * d + e];
  }
  for (std::size_t k = 1; k < s.taps; ++k) {
    const Real *const w = taps + k * d;
    if (t - begin >= k) {
      const Real *const past = x + (t - k) * d;
      for (std::size_t e = 0; e < d; ++e) {
        c[e] += w[e] * past[e];
      }
    } else if (state != nullptr) {
      const std::size_t column = s.taps + (t - begin) - k;
      for (std::size_t e = 0; e < d; ++e) {
        c[e] += w[e] * state[e * s.taps + column];
      }
    }
  }
}

/// The last K values of a sequence, oldest first; a short one keeps what came before. In place too:
/// column k reads column k + length or later.
template <class Real>
CALM_INLINE void keep_state(const Shape &s, const Real *x, const Real *state, std::size_t begin,
                            std::size_t end, Real *out) {
  const std::size_t length = end - begin;
  for (std::size_t e = 0; e < s.channels; ++e) {
    for (std::size_t k = 0; k < s.taps; ++k) {
      const std::size_t from = k + length;  // column of [state, sequence]
      out[e * s.taps + k] = from >= s.taps     ? x[(begin + from - s.taps) * s.channels + e]
                            : state != nullptr ? state[e * s.taps + from]
                                               : Real{0};
    }
  }
}

}  // namespace

template <class Real>
std::size_t causal_conv_silu_plan(const Node &node) {
  const Shape s(node);
  check_taps(s);
  Scratch scratch;
  scratch.take<Real>(s.taps * s.channels);
  scratch.take<Real>(s.groups * s.channels);
  return scratch.used();
}

template <class Real>
void causal_conv_silu(const Call &call) {
  const Shape s(call.node());
  const Real *const x = call.in<Real>(CALM_CAUSAL_CONV_SILU_X);
  const Real *const weight = call.in<Real>(CALM_CAUSAL_CONV_SILU_WEIGHT);
  const auto *const offsets = call.in<std::int32_t>(CALM_CAUSAL_CONV_SILU_OFFSETS);
  const Real *const state_in = call.in<Real>(CALM_CAUSAL_CONV_SILU_STATE_IN);
  Real *const y = call.out<Real>(CALM_CAUSAL_CONV_SILU_Y);
  Real *const state_out = call.out<Real>(CALM_CAUSAL_CONV_SILU_STATE_OUT);
  Scratch scratch(call.scratch());
  Real *const taps = scratch.take<Real>(s.taps * s.channels);
  Real *const sums = scratch.take<Real>(s.groups * s.channels);
  transpose(s, weight, taps);
  for_shards(call, s.groups, s.work(), [&](std::size_t group, auto) CALM_LAMBDA {
    Real *const c = sums + group * s.channels;
    const auto [first, last] = part(s.sequences, s.groups, group);
    for (std::size_t q = first; q < last; ++q) {
      const auto begin = static_cast<std::size_t>(offsets[q]);
      const auto end = static_cast<std::size_t>(offsets[q + 1]);
      const std::size_t own = q * s.channels * s.taps;
      const Real *const state = state_in == nullptr ? nullptr : state_in + own;
      for (std::size_t t = begin; y != nullptr && t < end; ++t) {
        convolve_row(s, x, taps, state, begin, t, c);
        for (std::size_t e = 0; e < s.channels; ++e) {
          y[t * s.channels + e] = silu_of(c[e]);
        }
      }
      if (state_out != nullptr) {
        keep_state(s, x, state, begin, end, state_out + own);
      }
    }
  });
  if (y != nullptr) {
    const auto live = static_cast<std::size_t>(offsets[s.sequences]);
    std::fill_n(y + live * s.channels, (s.rows - live) * s.channels, Real{0});
  }
}

namespace {

/// What a group of sequences sums up.
template <class Real>
struct GradWork {
  Real *dc;       // [E]
  Real *partial;  // [K, E], over at most 64 rows
  double *total;  // [K, E]
  GradWork(const Shape &s, Scratch &scratch)
      : dc(scratch.take<Real>(s.channels)),
        partial(scratch.take<Real>(s.taps * s.channels)),
        total(scratch.take<double>(s.taps * s.channels)) {}
};

template <class Real>
std::size_t grad_work_bytes(const Shape &s) {
  Scratch measure;
  const GradWork<Real> one(s, measure);
  return measure.used();
}

template <class Real>
CALM_INLINE void flush(const GradWork<Real> &work, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    work.total[i] += static_cast<double>(work.partial[i]);
    work.partial[i] = 0;
  }
}

}  // namespace

template <class Real>
std::size_t causal_conv_silu_grad_plan(const Node &node) {
  const Shape s(node);
  check_taps(s);
  Scratch scratch;
  scratch.take<Real>(s.taps * s.channels);
  return scratch.used() + s.groups * grad_work_bytes<Real>(s);
}

template <class Real>
void causal_conv_silu_grad(const Call &call) {
  const Shape s(call.node());
  const std::size_t d = s.channels;
  const Real *const x = call.in<Real>(CALM_CAUSAL_CONV_SILU_GRAD_X);
  const Real *const weight = call.in<Real>(CALM_CAUSAL_CONV_SILU_GRAD_WEIGHT);
  const auto *const offsets = call.in<std::int32_t>(CALM_CAUSAL_CONV_SILU_GRAD_OFFSETS);
  const Real *const grad = call.in<Real>(CALM_CAUSAL_CONV_SILU_GRAD_GRAD);
  Real *const grad_x = call.out<Real>(0);
  Real *const grad_weight = call.out<Real>(1);
  Scratch scratch(call.scratch());
  Real *const taps = scratch.take<Real>(s.taps * d);
  std::byte *const works = call.scratch() + scratch.used();
  const std::size_t bytes = grad_work_bytes<Real>(s);
  transpose(s, weight, taps);
  for_shards(call, s.groups, 3 * s.work(), [&](std::size_t group, auto) CALM_LAMBDA {
    Scratch own(works + group * bytes);
    const GradWork<Real> work(s, own);
    std::fill_n(work.partial, s.taps * d, Real{0});
    std::fill_n(work.total, s.taps * d, 0.0);
    const auto [first, last] = part(s.sequences, s.groups, group);
    for (std::size_t q = first; q < last; ++q) {
      const auto begin = static_cast<std::size_t>(offsets[q]);
      const auto end = static_cast<std::size_t>(offsets[q + 1]);
      for (std::size_t t = begin; t < end; ++t) {
        convolve_row<Real>(s, x, taps, nullptr, begin, t, work.dc);
        for (std::size_t e = 0; e < d; ++e) {
          work.dc[e] = grad[t * d + e] * silu_slope(work.dc[e]);
        }
        if (grad_x != nullptr) {
          for (std::size_t e = 0; e < d; ++e) {
            grad_x[t * d + e] = taps[e] * work.dc[e];
          }
          for (std::size_t k = 1; k < s.taps && k <= t - begin; ++k) {
            Real *const to = grad_x + (t - k) * d;
            for (std::size_t e = 0; e < d; ++e) {
              to[e] += taps[k * d + e] * work.dc[e];
            }
          }
        }
        for (std::size_t k = 0; k < s.taps && k <= t - begin; ++k) {
          const Real *const past = x + (t - k) * d;
          for (std::size_t e = 0; e < d; ++e) {
            work.partial[k * d + e] += work.dc[e] * past[e];
          }
        }
        if ((t - begin) % kBlockRows == kBlockRows - 1 || t + 1 == end) {
          flush(work, s.taps * d);
        }
      }
    }
  });
  if (grad_x != nullptr) {
    const auto live = static_cast<std::size_t>(offsets[s.sequences]);
    std::fill_n(grad_x + live * d, (s.rows - live) * d, Real{0});
  }
  for (std::size_t i = 0; grad_weight != nullptr && i < s.taps * d; ++i) {
    double sum = 0;
    for (std::size_t group = 0; group < s.groups; ++group) {
      Scratch own(works + group * bytes);
      sum += GradWork<Real>(s, own).total[i];
    }
    grad_weight[i % d * s.taps + i / d] = static_cast<Real>(sum);
  }
}

CALM_PLANNED_KERNEL(causal_conv_silu);
CALM_PLANNED_KERNEL(causal_conv_silu_grad);

}  // namespace calm::reference
