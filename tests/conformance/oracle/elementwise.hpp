#pragma once

#include <cmath>
#include <cstddef>
#include <string>

#include "tests/conformance/case.hpp"

// Elementwise operators, reductions, columns (contracts in calm/ops).
namespace calm::conformance::oracle {

// sqrt(2/pi) (x + 0.044715 x^3) and its derivative.
inline Tracked gelu_inner(Tracked x) {
  return Tracked(std::sqrt(2 / M_PI), 1) * (x + Tracked(0.044715, 1) * x * x * x);
}
inline Tracked gelu_inner_slope(Tracked x) {
  return Tracked(std::sqrt(2 / M_PI), 1) * (Tracked(1) + Tracked(3 * 0.044715, 1) * x * x);
}

inline Tracked gelu(Tracked x) { return Tracked(0.5) * x * (Tracked(1) + tanh(gelu_inner(x))); }
inline Tracked gelu_slope(Tracked x) {
  const Tracked t = tanh(gelu_inner(x));
  return Tracked(0.5) * (Tracked(1) + t) +
         Tracked(0.5) * x * (Tracked(1) - t * t) * gelu_inner_slope(x);
}
inline Tracked silu(Tracked x) { return x * sigmoid(x); }
inline Tracked silu_slope(Tracked x) {
  const Tracked s = sigmoid(x);
  return s * (Tracked(1) + x * (Tracked(1) - s));
}
inline Tracked softplus(Tracked x) { return x.v > 20 ? x : log1p(exp(x)); }
inline Tracked softplus_slope(Tracked x) { return x.v > 20 ? Tracked(1) : sigmoid(x); }

/// f(x) for every element: gelu, silu, softplus and the unary operators by name.
inline Tracked unary(const std::string &op, Tracked x) {
  if (op == "gelu") return gelu(x);
  if (op == "silu") return silu(x);
  if (op == "softplus") return softplus(x);
  if (op == "neg") return -x;
  if (op == "exp") return exp(x);
  if (op == "log") return log(x);
  if (op == "sqrt") return sqrt(x);
  if (op == "square") return x * x;
  if (op == "sigmoid") return sigmoid(x);
  return tanh(x);
}

inline Tensors unary(const Case &c) {
  Tensor out(c.ins[0]);
  for (Tracked &x : out.values) {
    x = unary(c.op, x);
  }
  return {out};
}

inline Tensors activation_grad(const Case &c) {
  Tensor out(c.ins[0]);
  for (std::size_t i = 0; i < out.values.size(); ++i) {
    const Tracked x = out.values[i];
    const Tracked slope = c.op == "gelu_grad"   ? gelu_slope(x)
                          : c.op == "silu_grad" ? silu_slope(x)
                                                : softplus_slope(x);
    out.values[i] = Tracked(c.ins[1].values[i]) * slope;
  }
  return {out};
}

inline Tensors gated_silu(const Case &c) {
  Tensor out(c.ins[0]);
  for (std::size_t i = 0; i < out.values.size(); ++i) {
    out.values[i] = out.values[i] * silu(c.ins[1].values[i]);
  }
  return {out};
}

inline Tensors gated_silu_grad(const Case &c) {
  Tensor grad_y(c.ins[0].shape);
  Tensor grad_z(c.ins[0].shape);
  for (std::size_t i = 0; i < grad_y.values.size(); ++i) {
    const Tracked y = c.ins[0].values[i];
    const Tracked z = c.ins[1].values[i];
    const Tracked grad = c.ins[2].values[i];
    grad_y(i) = grad * silu(z);
    grad_z(i) = grad * y * silu_slope(z);
  }
  return {grad_y, grad_z};
}

inline Tensors binary(const Case &c) {
  Tensor out(c.ins[0]);
  const std::vector<double> &b = c.ins[1].values;
  for (std::size_t i = 0; i < out.values.size(); ++i) {
    const Tracked a = out.values[i];
    const Tracked second = b[i % b.size()];  // last axis or scalar repeat
    out.values[i] = c.op == "add"   ? a + second
                    : c.op == "sub" ? a - second
                    : c.op == "mul" ? a * second
                                    : a / second;
  }
  return {out};
}

// Where element i of a tensor lands in its sum over `axis`.
inline std::size_t reduced_index(std::size_t i, double axis, std::size_t columns) {
  return axis == 0 ? i % columns : axis == 1 ? i / columns : 0;
}

inline Tensors sum(const Case &c) {
  const Array &x = c.ins[0];
  const double axis = c.attr("axis");
  Tensor out(axis == 0 ? Shape{x.shape[1]} : axis == 1 ? Shape{x.shape[0]} : Shape{});
  const std::size_t columns = axis < 0 ? 1 : static_cast<std::size_t>(x.shape[1]);
  std::vector<Sum> sums(out.values.size());
  for (std::size_t i = 0; i < x.values.size(); ++i) {
    sums[reduced_index(i, axis, columns)].add(x.values[i]);
  }
  for (std::size_t i = 0; i < sums.size(); ++i) {
    out(i) = sums[i].result();
  }
  return {out};
}

inline Tensors broadcast(const Case &c) {
  Tensor out(c.ins[1].shape);
  const double axis = c.attr("axis");
  const std::size_t columns = axis < 0 ? 1 : out.dim(1);
  for (std::size_t i = 0; i < out.values.size(); ++i) {
    out(i) = c.ins[0].values[reduced_index(i, axis, columns)];
  }
  return {out};
}

inline Tensors concat(const Case &c) {
  std::int64_t columns = 0;
  for (const Array &in : c.ins) {
    columns += in.shape[1];
  }
  Tensor out({c.ins[0].shape[0], columns});
  std::size_t first = 0;
  for (const Array &in : c.ins) {
    Tensor part(in);
    for (std::size_t t = 0; t < part.dim(0); ++t) {
      for (std::size_t i = 0; i < part.dim(1); ++i) {
        out(t, first + i) = part(t, i);
      }
    }
    first += part.dim(1);
  }
  return {out};
}

inline Tensors split(const Case &c) {
  Tensor x(c.ins[0]);
  Tensors outs;
  std::size_t first = 0;
  for (const calm_value &size : c.attrs) {
    Tensor part({x.shape[0], size.i64});
    for (std::size_t t = 0; t < part.dim(0); ++t) {
      for (std::size_t i = 0; i < part.dim(1); ++i) {
        part(t, i) = x(t, first + i);
      }
    }
    first += part.dim(1);
    outs.push_back(part);
  }
  return outs;
}

inline Tensors fill(const Case &c) {
  Tensor out(c.ins[0].shape);
  for (Tracked &x : out.values) {
    x = Tracked(c.attr("value"), std::fabs(c.attr("value")));
  }
  return {out};
}

}  // namespace calm::conformance::oracle
