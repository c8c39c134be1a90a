#pragma once

#include <cmath>
#include <cstddef>

#include "tests/conformance/case.hpp"

// The operators of an update (contract in calm/ops/optimizer.h).
namespace calm::conformance::oracle {

inline Tensors accumulate(const Case &c) {
  Tensor out(c.ins[1]);
  for (std::size_t i = 0; i < out.values.size() && c.ins[2].values[0] == 0; ++i) {
    out(i) = Tracked(c.ins[0].values[i]) + out(i);
  }
  return {out};
}

inline Tensors global_norm(const Case &c) {
  Sum sum;
  for (const Array &in : c.ins) {
    for (const double x : in.values) {
      sum.add(Tracked(x) * Tracked(x));
    }
  }
  Tensor norm(Shape{}), coefficient(Shape{}), ok(Shape{});
  norm(0) = sum.result().v == 0 ? Tracked(0) : sqrt(sum.result());
  coefficient(0) = Tracked(c.attr("max_norm")) / (norm(0) + Tracked(1e-6, 1e-6));
  if (coefficient(0).v > 1) {
    coefficient(0) = 1;
  }
  ok(0) = std::isfinite(norm(0).v) ? 1 : 0;
  return {norm, coefficient, ok};
}

inline Tensors adamw(const Case &c) {
  Tensor p(c.ins[0]), m(c.ins[2]), v(c.ins[3]);
  const Tracked lr = c.ins[4].values[0];
  const Tracked bias1 = c.ins[5].values[0];
  const Tracked bias2 = c.ins[6].values[0];
  const Tracked coefficient = c.ins[7].values[0];
  // Attributes are doubles: rounded once where a kernel works in a coarser dtype.
  const auto attr = [&c](const char *name) {
    return Tracked(c.attr(name), std::fabs(c.attr(name)));
  };
  const auto rest = [&c](const char *name) { return Tracked(1 - c.attr(name), 1); };
  for (std::size_t i = 0; i < p.values.size() && c.ins[8].values[0] != 0; ++i) {
    Tracked g = c.ins[1].values[i];
    g = coefficient.v < 1 ? g * coefficient : g;
    m(i) = attr("beta1") * m(i) + rest("beta1") * g;
    v(i) = attr("beta2") * v(i) + rest("beta2") * g * g;
    const Tracked root = v(i).v == 0 ? Tracked(0) : sqrt(v(i));
    p(i) = p(i) * (Tracked(1) - lr * attr("weight_decay")) -
           lr / bias1 * m(i) / (root / sqrt(bias2) + attr("eps"));
  }
  return {p, m, v};
}

inline Tensors guard(const Case &c) {
  const bool ok = c.ins[0].values[0] != 0;
  const double bad = c.ins[1].values[0];
  Tensor go(Shape{}), counted(Shape{});
  go(0) = ok && bad < 3 ? 1 : 0;
  counted(0) = bad >= 3 ? bad : ok ? 0 : bad + 1;
  return {go, counted};
}

inline Tensors record(const Case &c) {
  Tensor ring(c.ins[0]);
  const std::size_t row = static_cast<std::size_t>(c.ins[1].values[0]) % ring.dim(0);
  for (std::size_t i = 0; i + 2 < c.ins.size(); ++i) {
    ring(row, i) = c.ins[i + 2].values[0];
  }
  return {ring};
}

}  // namespace calm::conformance::oracle
