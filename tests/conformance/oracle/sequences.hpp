#pragma once

#include <cstddef>
#include <vector>

#include "tests/conformance/case.hpp"
#include "tests/conformance/oracle/elementwise.hpp"

// Operators that read offsets: convolution, scan, pooling (contracts in calm/ops).
namespace calm::conformance::oracle {

inline std::size_t sequences(const Array &offsets) { return offsets.values.size() - 1; }

// What x was `back` rows before row t of the sequence that starts at `begin`: from the state, or 0.
inline Tracked history(const Case &c, Tensor &x, std::size_t s, std::size_t begin, std::size_t t,
                       std::size_t back, std::size_t e, std::size_t taps) {
  if (t >= begin + back) {
    return x(t - back, e);
  }
  const std::size_t older = begin + back - t;  // 1: the newest column of the state
  if (!c.has(3)) {
    return 0;
  }
  Tensor state(c.ins[3]);
  return older <= taps ? state(s, e, taps - older) : Tracked(0);
}

inline Tensors causal_conv_silu(const Case &c) {
  Tensor x(c.ins[0]);
  Tensor weight(c.ins[1]);
  const std::size_t taps = weight.dim(1);
  Tensor y(x.shape);
  Tensor state_out({static_cast<std::int64_t>(sequences(c.ins[2])), x.shape[1], weight.shape[1]});
  for (std::size_t s = 0; s < sequences(c.ins[2]); ++s) {
    const auto [begin, end] = sequence(c.ins[2], s);
    for (std::size_t e = 0; e < x.dim(1); ++e) {
      for (std::size_t t = begin; t < end; ++t) {
        Sum sum;
        for (std::size_t k = 0; k < taps; ++k) {
          sum.add(weight(e, k) * history(c, x, s, begin, t, k, e, taps));
        }
        y(t, e) = silu(sum.result());
      }
      // The state is what the next row would see 1 ... taps rows back.
      for (std::size_t k = 0; k < taps; ++k) {
        state_out(s, e, k) = history(c, x, s, begin, end, taps - k, e, taps);
      }
    }
  }
  return {y, state_out};
}

inline Tensors causal_conv_silu_grad(const Case &c) {
  Tensor x(c.ins[0]);
  Tensor weight(c.ins[1]);
  Tensor grad(c.ins[3]);
  const std::size_t taps = weight.dim(1);
  Tensor grad_x(x.shape);
  Tensor grad_weight(weight.shape);
  for (std::size_t e = 0; e < x.dim(1); ++e) {
    std::vector<Sum> by_row(x.dim(0));
    std::vector<Sum> by_tap(taps);
    for (std::size_t s = 0; s < sequences(c.ins[2]); ++s) {
      const auto [begin, end] = sequence(c.ins[2], s);
      for (std::size_t t = begin; t < end; ++t) {
        Sum sum;
        for (std::size_t k = 0; k < taps && t >= begin + k; ++k) {
          sum.add(weight(e, k) * x(t - k, e));
        }
        const Tracked g = grad(t, e) * silu_slope(sum.result());
        for (std::size_t k = 0; k < taps && t >= begin + k; ++k) {
          by_row[t - k].add(g * weight(e, k));
          by_tap[k].add(g * x(t - k, e));
        }
      }
    }
    for (std::size_t t = 0; t < x.dim(0); ++t) {
      grad_x(t, e) = by_row[t].result();
    }
    for (std::size_t k = 0; k < taps; ++k) {
      grad_weight(e, k) = by_tap[k].result();
    }
  }
  return {grad_x, grad_weight};
}

inline constexpr std::size_t kChunk = 64;

inline Tensors selective_scan(const Case &c) {
  Tensor x(c.ins[0]), delta(c.ins[1]), a(c.ins[2]), b(c.ins[3]), cc(c.ins[4]), d(c.ins[5]);
  const std::size_t rows = x.dim(0), channels = x.dim(1), states = a.dim(1);
  const auto chunks = static_cast<std::int64_t>((rows + kChunk - 1) / kChunk);
  Tensor y(x.shape);
  Tensor bounds({chunks, x.shape[1], a.shape[1]});
  std::fill(bounds.values.begin(), bounds.values.end(), anything());
  Tensor state_out({static_cast<std::int64_t>(sequences(c.ins[6])), x.shape[1], a.shape[1]});
  for (std::size_t s = 0; s < sequences(c.ins[6]); ++s) {
    const auto [begin, end] = sequence(c.ins[6], s);
    Tensor h({x.shape[1], a.shape[1]});
    if (c.has(7)) {
      Tensor state(c.ins[7]);
      for (std::size_t i = 0; i < h.values.size(); ++i) {
        h(i) = state(s * h.values.size() + i);
      }
    }
    for (std::size_t t = begin; t < end; ++t) {
      if (t % kChunk == 0 && t > begin) {
        std::copy(
            h.values.begin(), h.values.end(),
            bounds.values.begin() + static_cast<std::ptrdiff_t>(t / kChunk * channels * states));
      }
      for (std::size_t e = 0; e < channels; ++e) {
        Sum sum;
        for (std::size_t n = 0; n < states; ++n) {
          h(e, n) = exp(delta(t, e) * a(e, n)) * h(e, n) + delta(t, e) * b(t, n) * x(t, e);
          sum.add(cc(t, n) * h(e, n));
        }
        y(t, e) = sum.result() + d(e) * x(t, e);
      }
    }
    for (std::size_t i = 0; i < h.values.size(); ++i) {
      state_out(s * h.values.size() + i) = h(i);
    }
  }
  return {y, bounds, state_out};
}

// Spec E.6, with dh[t] = c[t] g[t] + exp(delta[t+1] a) dh[t+1]:
//   grad_x = d g + sum_n dh delta b, grad_delta = sum_n dh (a exp(delta a) h[t-1] + b x),
//   grad_a = sum_t dh delta exp(delta a) h[t-1], grad_b = sum_e dh delta x, grad_c = sum_e g h,
//   grad_d = sum_t g x
inline Tensors selective_scan_grad(const Case &c) {
  Tensor x(c.ins[0]), delta(c.ins[1]), a(c.ins[2]), b(c.ins[3]), cc(c.ins[4]), d(c.ins[5]);
  Tensor grad(c.ins[8]);
  const std::size_t rows = x.dim(0), channels = x.dim(1), states = a.dim(1);
  Tensor grad_x(x.shape), grad_delta(x.shape), grad_a(a.shape), grad_d(d.shape);
  std::vector<Sum> grad_b(rows * states), grad_c(rows * states);
  for (std::size_t e = 0; e < channels; ++e) {
    Sum sum_d;
    std::vector<Sum> sum_a(states), sum_x(rows), sum_delta(rows);
    for (std::size_t s = 0; s < sequences(c.ins[6]); ++s) {
      const auto [begin, end] = sequence(c.ins[6], s);
      for (std::size_t n = 0; n < states; ++n) {
        std::vector<Tracked> h(end - begin + 1);  // h[t - begin + 1] is the state after row t
        for (std::size_t t = begin; t < end; ++t) {
          const std::size_t i = t - begin;
          h[i + 1] = exp(delta(t, e) * a(e, n)) * h[i] + delta(t, e) * b(t, n) * x(t, e);
        }
        Tracked dh;
        for (std::size_t t = end; t-- > begin;) {
          const std::size_t i = t - begin;
          dh = cc(t, n) * grad(t, e) +
               (t + 1 < end ? exp(delta(t + 1, e) * a(e, n)) * dh : Tracked(0));
          const Tracked decayed = exp(delta(t, e) * a(e, n)) * h[i];
          sum_delta[t].add(dh * (a(e, n) * decayed + b(t, n) * x(t, e)));
          sum_a[n].add(dh * delta(t, e) * decayed);
          sum_x[t].add(dh * delta(t, e) * b(t, n));
          grad_b[t * states + n].add(dh * delta(t, e) * x(t, e));
          grad_c[t * states + n].add(grad(t, e) * h[i + 1]);
        }
      }
      for (std::size_t t = begin; t < end; ++t) {
        sum_x[t].add(d(e) * grad(t, e));
        sum_d.add(grad(t, e) * x(t, e));
      }
    }
    for (std::size_t t = 0; t < rows; ++t) {
      grad_x(t, e) = sum_x[t].result();
      grad_delta(t, e) = sum_delta[t].result();
    }
    for (std::size_t n = 0; n < states; ++n) {
      grad_a(e, n) = sum_a[n].result();
    }
    grad_d(e) = sum_d.result();
  }
  Tensor out_b(b.shape), out_c(b.shape);
  for (std::size_t i = 0; i < rows * states; ++i) {
    out_b(i) = grad_b[i].result();
    out_c(i) = grad_c[i].result();
  }
  return {grad_x, grad_delta, grad_a, out_b, out_c, grad_d};
}

inline Tensors pool(const Case &c) {
  Tensor x(c.ins[0]);
  const bool last = c.attr("mode") != 0;
  Tensor out({static_cast<std::int64_t>(sequences(c.ins[1])), x.shape[1]});
  for (std::size_t s = 0; s < out.dim(0); ++s) {
    const auto [begin, end] = sequence(c.ins[1], s);
    for (std::size_t i = 0; i < x.dim(1) && begin < end; ++i) {
      Sum sum;
      for (std::size_t t = begin; t < end; ++t) {
        sum.add(x(t, i));
      }
      out(s, i) =
          last ? x(end - 1, i) : sum.result() * (Tracked(1) / static_cast<double>(end - begin));
    }
  }
  return {out};
}

inline Tensors pool_grad(const Case &c) {
  Tensor grad(c.ins[2]);
  Tensor out(c.ins[0].shape);
  const bool last = c.attr("mode") != 0;
  for (std::size_t s = 0; s < grad.dim(0); ++s) {
    const auto [begin, end] = sequence(c.ins[1], s);
    for (std::size_t t = begin; t < end; ++t) {
      for (std::size_t i = 0; i < out.dim(1); ++i) {
        out(t, i) = !last          ? grad(s, i) * (Tracked(1) / static_cast<double>(end - begin))
                    : t + 1 == end ? grad(s, i)
                                   : Tracked(0);
      }
    }
  }
  return {out};
}

}  // namespace calm::conformance::oracle
