// add, sub, mul, div with a broadcast second operand; neg, exp, log, sqrt, square, sigmoid, tanh.
#include <cmath>

#include "../math.hpp"
#include "../parallel.hpp"

namespace calm::reference {
namespace {

constexpr double kOps = 4;
constexpr double kCallOps = 40;  // a library function an element

/// y[i] = f(a[i], b[j]) with j = i (same shape), i modulo b's extent (a row) or 0 (a scalar).
template <class Real, class F>
void binary(const Call &call, F f) {
  const Real *const a = call.in<Real>(0);
  const Real *const b = call.in<Real>(1);
  Real *const y = call.out<Real>(0);
  const std::size_t n = count(call.node().ins[0]);
  const std::size_t nb = count(call.node().ins[1]);
  if (y == nullptr || n == 0) {
    return;
  }
  if (nb == n) {
    for_blocks(call, n, kElementBlock, kOps, [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
      for (std::size_t i = begin; i < end; ++i) {
        y[i] = f(a[i], b[i]);
      }
    });
    return;
  }
  if (nb == 1) {
    const Real scalar = b[0];
    for_blocks(call, n, kElementBlock, kOps, [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
      for (std::size_t i = begin; i < end; ++i) {
        y[i] = f(a[i], scalar);
      }
    });
    return;
  }
  for_blocks(call, n / nb, row_block(nb), kOps * static_cast<double>(nb),
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t row = begin; row < end; ++row) {
                 for (std::size_t j = 0; j < nb; ++j) {
                   y[row * nb + j] = f(a[row * nb + j], b[j]);
                 }
               }
             });
}

template <class Real, class F>
void unary(const Call &call, double ops, F f) {
  const Real *const x = call.in<Real>(0);
  Real *const y = call.out<Real>(0);
  if (y == nullptr) {
    return;
  }
  for_blocks(call, count(call.node().ins[0]), kElementBlock, ops,
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t i = begin; i < end; ++i) {
                 y[i] = f(x[i]);
               }
             });
}

}  // namespace

template <class Real>
void add(const Call &call) {
  binary<Real>(call, [](Real a, Real b) CALM_LAMBDA { return a + b; });
}
template <class Real>
void sub(const Call &call) {
  binary<Real>(call, [](Real a, Real b) CALM_LAMBDA { return a - b; });
}
template <class Real>
void mul(const Call &call) {
  binary<Real>(call, [](Real a, Real b) CALM_LAMBDA { return a * b; });
}
template <class Real>
void div(const Call &call) {
  binary<Real>(call, [](Real a, Real b) CALM_LAMBDA { return a / b; });
}
template <class Real>
void neg(const Call &call) {
  unary<Real>(call, kOps, [](Real x) CALM_LAMBDA { return -x; });
}
template <class Real>
void square(const Call &call) {
  unary<Real>(call, kOps, [](Real x) CALM_LAMBDA { return x * x; });
}
template <class Real>
void sqrt(const Call &call) {
  unary<Real>(call, kOps, [](Real x) CALM_LAMBDA { return std::sqrt(x); });
}
template <class Real>
void exp(const Call &call) {
  unary<Real>(call, kCallOps, [](Real x) CALM_LAMBDA { return exp_of(x); });
}
template <class Real>
void sigmoid(const Call &call) {
  unary<Real>(call, kCallOps, [](Real x) CALM_LAMBDA { return sigmoid_of(x); });
}
template <class Real>
void log(const Call &call) {
  unary<Real>(call, kCallOps, [](Real x) CALM_LAMBDA { return std::log(x); });
}
template <class Real>
void tanh(const Call &call) {
  unary<Real>(call, kCallOps, [](Real x) CALM_LAMBDA { return std::tanh(x); });
}

CALM_KERNEL(add);
CALM_KERNEL(sub);
CALM_KERNEL(mul);
CALM_KERNEL(div);
CALM_KERNEL(neg);
CALM_KERNEL(square);
CALM_KERNEL(sqrt);
CALM_KERNEL(exp);
CALM_KERNEL(sigmoid);
CALM_KERNEL(log);
CALM_KERNEL(tanh);

}  // namespace calm::reference
