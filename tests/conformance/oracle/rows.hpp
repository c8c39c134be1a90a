#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "tests/conformance/case.hpp"

// Operators on rows: embedding, matmul, layer norm, L2 norm, cross-entropy (contracts in calm/ops).
namespace calm::conformance::oracle {

inline Tensors embedding(const Case &c) {
  Tensor table(c.ins[1]);
  Tensor rows({c.ins[0].shape[0], table.shape[1]});
  for (std::size_t t = 0; t < rows.dim(0); ++t) {
    for (std::size_t i = 0; i < rows.dim(1); ++i) {
      rows(t, i) = table(static_cast<std::size_t>(c.ins[0].values[t]), i);
    }
  }
  return {rows};
}

inline Tensors embedding_grad(const Case &c) {
  Tensor grad(c.ins[1]);
  Tensor table({static_cast<std::int64_t>(c.attr("rows")), grad.shape[1]});
  for (std::size_t v = 0; v < table.dim(0); ++v) {
    for (std::size_t i = 0; i < table.dim(1); ++i) {
      Sum sum;
      for (std::size_t t = 0; t < grad.dim(0); ++t) {
        if (c.ins[0].values[t] == static_cast<double>(v)) {
          sum.add(grad(t, i));
        }
      }
      table(v, i) = sum.result();
    }
  }
  return {table};
}

inline Tensor transposed(Tensor x) {
  Tensor out({x.shape[1], x.shape[0]});
  for (std::size_t i = 0; i < x.dim(0); ++i) {
    for (std::size_t j = 0; j < x.dim(1); ++j) {
      out(j, i) = x(i, j);
    }
  }
  return out;
}

inline Tensors matmul(const Case &c) {
  Tensor a(c.ins[0]);
  Tensor b(c.ins[1]);
  a = c.attr("transpose_a") != 0 ? transposed(a) : a;
  b = c.attr("transpose_b") != 0 ? transposed(b) : b;
  Tensor out({a.shape[0], b.shape[1]});
  for (std::size_t m = 0; m < out.dim(0); ++m) {
    for (std::size_t n = 0; n < out.dim(1); ++n) {
      Sum sum;
      for (std::size_t k = 0; k < b.dim(0); ++k) {
        sum.add(a(m, k) * b(k, n));
      }
      out(m, n) = sum.result();
    }
  }
  return {out};
}

inline Tensors layer_norm(const Case &c) {
  Tensor x(c.ins[0]);
  Tensor weight(c.ins[1]);
  Tensor bias(c.ins[2]);
  Tensor y(x.shape);
  Tensor means({x.shape[0]});
  Tensor rstds({x.shape[0]});
  const auto d = static_cast<double>(x.dim(1));
  for (std::size_t t = 0; t < x.dim(0); ++t) {
    Sum sum;
    for (std::size_t i = 0; i < x.dim(1); ++i) {
      sum.add(x(t, i));
    }
    const Tracked mean = sum.result() / d;
    Sum squares;
    for (std::size_t i = 0; i < x.dim(1); ++i) {
      squares.add((x(t, i) - mean) * (x(t, i) - mean));
    }
    const Tracked rstd =
        Tracked(1) / sqrt(squares.result() / d + Tracked(c.attr("eps"), c.attr("eps")));
    for (std::size_t i = 0; i < x.dim(1); ++i) {
      y(t, i) = (x(t, i) - mean) * rstd * weight(i) + bias(i);
    }
    means(t) = mean;
    rstds(t) = rstd;
  }
  return {y, means, rstds};
}

// With n = (x - mean) rstd and g = grad weight:
//   grad_x = rstd (g - mean(g) - n mean(g n)), grad_weight = sum grad n, grad_bias = sum grad
inline Tensors layer_norm_grad(const Case &c) {
  Tensor x(c.ins[0]);
  Tensor weight(c.ins[1]);
  Tensor mean(c.ins[2]);
  Tensor rstd(c.ins[3]);
  Tensor grad(c.ins[4]);
  Tensor grad_x(x.shape);
  std::vector<Sum> grad_weight(x.dim(1));
  std::vector<Sum> grad_bias(x.dim(1));
  const auto d = static_cast<double>(x.dim(1));
  for (std::size_t t = 0; t < x.dim(0); ++t) {
    Sum g_sum;
    Sum gn_sum;
    for (std::size_t i = 0; i < x.dim(1); ++i) {
      const Tracked n = (x(t, i) - mean(t)) * rstd(t);
      g_sum.add(grad(t, i) * weight(i));
      gn_sum.add(grad(t, i) * weight(i) * n);
      grad_weight[i].add(grad(t, i) * n);
      grad_bias[i].add(grad(t, i));
    }
    for (std::size_t i = 0; i < x.dim(1); ++i) {
      const Tracked n = (x(t, i) - mean(t)) * rstd(t);
      grad_x(t, i) =
          rstd(t) * (grad(t, i) * weight(i) - g_sum.result() / d - n * (gn_sum.result() / d));
    }
  }
  Tensor weight_out(weight.shape);
  Tensor bias_out(weight.shape);
  for (std::size_t i = 0; i < x.dim(1); ++i) {
    weight_out(i) = grad_weight[i].result();
    bias_out(i) = grad_bias[i].result();
  }
  return {grad_x, weight_out, bias_out};
}

inline Tensors l2_normalize(const Case &c) {
  Tensor x(c.ins[0]);
  Tensor y(x.shape);
  Tensor norms({x.shape[0]});
  const double eps = c.attr("eps");
  for (std::size_t t = 0; t < x.dim(0); ++t) {
    Sum squares;
    for (std::size_t i = 0; i < x.dim(1); ++i) {
      squares.add(x(t, i) * x(t, i));
    }
    norms(t) = squares.result().v > 0 ? sqrt(squares.result()) : Tracked(0);
    for (std::size_t i = 0; i < x.dim(1); ++i) {
      y(t, i) = x(t, i) / (norms(t).v > eps ? norms(t) : Tracked(eps, eps));
    }
  }
  return {y, norms};
}

inline Tensors l2_normalize_grad(const Case &c) {
  Tensor y(c.ins[0]);
  Tensor norm(c.ins[1]);
  Tensor grad(c.ins[2]);
  Tensor out(y.shape);
  const double eps = c.attr("eps");
  for (std::size_t t = 0; t < y.dim(0); ++t) {
    Sum along;
    for (std::size_t i = 0; i < y.dim(1); ++i) {
      along.add(y(t, i) * grad(t, i));
    }
    for (std::size_t i = 0; i < y.dim(1); ++i) {
      out(t, i) = norm(t).v > eps ? (grad(t, i) - y(t, i) * along.result()) / norm(t)
                                  : grad(t, i) / Tracked(eps, eps);
    }
  }
  return {out};
}

inline Tensors cross_entropy(const Case &c) {
  Tensor logits(c.ins[0]);
  Tensor loss(Shape{});
  Tensor lse({logits.shape[0]});
  Sum sum;
  for (std::size_t t = 0; t < logits.dim(0); ++t) {
    if (c.ins[1].values[t] < 0) {
      continue;
    }
    double top = logits(t, 0).v;
    for (std::size_t v = 1; v < logits.dim(1); ++v) {
      top = std::max(top, logits(t, v).v);
    }
    Sum total;
    for (std::size_t v = 0; v < logits.dim(1); ++v) {
      total.add(exp(logits(t, v) - top));
    }
    lse(t) = log(total.result()) + top;
    sum.add(lse(t) - logits(t, static_cast<std::size_t>(c.ins[1].values[t])));
  }
  loss(0) = sum.result();
  return {loss, lse};
}

inline Tensors cross_entropy_grad(const Case &c) {
  Tensor logits(c.ins[0]);
  Tensor lse(c.ins[2]);
  Tensor out(logits.shape);
  const Tracked grad = c.ins[3].values[0];
  for (std::size_t t = 0; t < logits.dim(0); ++t) {
    for (std::size_t v = 0; v < logits.dim(1) && c.ins[1].values[t] >= 0; ++v) {
      const double hit = c.ins[1].values[t] == static_cast<double>(v) ? 1 : 0;
      out(t, v) = (exp(logits(t, v) - lse(t)) - hit) * grad;
    }
  }
  return {out};
}

}  // namespace calm::conformance::oracle
