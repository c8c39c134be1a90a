// out = y silu(z) (spec E.5.6); grad_y = grad silu(z), grad_z = grad y silu'(z).
#include <calm/ops/gated_silu.h>

#include "../math.hpp"
#include "../parallel.hpp"

namespace calm::reference {
namespace {

constexpr double kOps = 24;

}  // namespace

template <class Real>
void gated_silu(const Call &call) {
  const Real *const y = call.in<Real>(CALM_GATED_SILU_Y);
  const Real *const z = call.in<Real>(CALM_GATED_SILU_Z);
  Real *const out = call.out<Real>(0);
  if (out == nullptr) {
    return;
  }
  for_blocks(call, count(call.node().ins[0]), kElementBlock, kOps,
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t i = begin; i < end; ++i) {
                 out[i] = y[i] * silu_of(z[i]);
               }
             });
}

template <class Real>
void gated_silu_grad(const Call &call) {
  const Real *const y = call.in<Real>(CALM_GATED_SILU_Y);
  const Real *const z = call.in<Real>(CALM_GATED_SILU_Z);
  const Real *const grad = call.in<Real>(CALM_GATED_SILU_GRAD_GRAD);
  Real *const grad_y = call.out<Real>(0);
  Real *const grad_z = call.out<Real>(1);
  for_blocks(call, count(call.node().ins[0]), kElementBlock, 2 * kOps,
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               if (grad_y != nullptr) {
                 for (std::size_t i = begin; i < end; ++i) {
                   grad_y[i] = grad[i] * silu_of(z[i]);
                 }
               }
               if (grad_z != nullptr) {
                 for (std::size_t i = begin; i < end; ++i) {
                   grad_z[i] = grad[i] * y[i] * silu_slope(z[i]);
                 }
               }
             });
}

CALM_KERNEL(gated_silu);
CALM_KERNEL(gated_silu_grad);

}  // namespace calm::reference
