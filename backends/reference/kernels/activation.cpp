// gelu, silu, softplus and their gradients, elementwise (spec E.4, E.5): math.hpp has the formulas.
#include "../math.hpp"
#include "../parallel.hpp"

namespace calm::reference {
namespace {

constexpr double kOps = 24;

/// y = f(x) over all elements.
template <class Real, class F>
void map(const Call &call, F f) {
  const Real *const x = call.in<Real>(0);
  Real *const y = call.out<Real>(0);
  if (y == nullptr) {
    return;
  }
  for_blocks(call, count(call.node().ins[0]), kElementBlock, kOps,
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t i = begin; i < end; ++i) {
                 y[i] = f(x[i]);
               }
             });
}

/// y = grad * slope(x) over all elements.
template <class Real, class F>
void map_grad(const Call &call, F slope) {
  const Real *const x = call.in<Real>(0);
  const Real *const grad = call.in<Real>(1);
  Real *const y = call.out<Real>(0);
  if (y == nullptr) {
    return;
  }
  for_blocks(call, count(call.node().ins[0]), kElementBlock, kOps,
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t i = begin; i < end; ++i) {
                 y[i] = grad[i] * slope(x[i]);
               }
             });
}

}  // namespace

template <class Real>
void gelu(const Call &call) {
  map<Real>(call, [](Real x) CALM_LAMBDA { return gelu_of(x); });
}
template <class Real>
void gelu_grad(const Call &call) {
  map_grad<Real>(call, [](Real x) CALM_LAMBDA { return gelu_slope(x); });
}
template <class Real>
void silu(const Call &call) {
  map<Real>(call, [](Real x) CALM_LAMBDA { return silu_of(x); });
}
template <class Real>
void silu_grad(const Call &call) {
  map_grad<Real>(call, [](Real x) CALM_LAMBDA { return silu_slope(x); });
}
template <class Real>
void softplus(const Call &call) {
  map<Real>(call, [](Real x) CALM_LAMBDA { return softplus_of(x); });
}
template <class Real>
void softplus_grad(const Call &call) {
  map_grad<Real>(call, [](Real x) CALM_LAMBDA { return softplus_slope(x); });
}

CALM_KERNEL(gelu);
CALM_KERNEL(gelu_grad);
CALM_KERNEL(silu);
CALM_KERNEL(silu_grad);
CALM_KERNEL(softplus);
CALM_KERNEL(softplus_grad);

}  // namespace calm::reference
