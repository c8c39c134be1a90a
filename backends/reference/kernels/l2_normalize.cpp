// y = x / max(norm, eps), norm = sqrt(sum x^2) of each row (spec G).
//
// Backward: grad_x = (grad - y (y . grad)) / norm, the part of grad across y; where eps stands for
// the norm the divisor is constant and grad_x = grad / eps.
#include <calm/ops/l2_normalize.h>

#include <algorithm>
#include <cmath>

#include "../math.hpp"
#include "../parallel.hpp"

namespace calm::reference {

template <class Real>
void l2_normalize(const Call &call) {
  const std::size_t rows = call.extent(CALM_L2_NORMALIZE_X, 0);
  const std::size_t d = call.extent(CALM_L2_NORMALIZE_X, 1);
  const Real *const x = call.in<Real>(CALM_L2_NORMALIZE_X);
  const double eps = call.f64(CALM_L2_NORMALIZE_EPS);
  Real *const y = call.out<Real>(CALM_L2_NORMALIZE_Y);
  Real *const norms = call.out<Real>(CALM_L2_NORMALIZE_NORM);
  for_blocks(call, rows, row_block(d), 3 * static_cast<double>(d),
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t t = begin; t < end; ++t) {
                 const Real *const xt = x + t * d;
                 const double norm = std::sqrt(sum_of(d, [&](std::size_t i) CALM_LAMBDA {
                   const auto v = static_cast<double>(xt[i]);
                   return v * v;
                 }));
                 if (y != nullptr) {
                   const double divisor = std::max(norm, eps);
                   for (std::size_t i = 0; i < d; ++i) {
                     y[t * d + i] = static_cast<Real>(static_cast<double>(xt[i]) / divisor);
                   }
                 }
                 if (norms != nullptr) {
                   norms[t] = static_cast<Real>(norm);
                 }
               }
             });
}

template <class Real>
void l2_normalize_grad(const Call &call) {
  const std::size_t rows = call.extent(CALM_L2_NORMALIZE_GRAD_Y, 0);
  const std::size_t d = call.extent(CALM_L2_NORMALIZE_GRAD_Y, 1);
  const Real *const y = call.in<Real>(CALM_L2_NORMALIZE_GRAD_Y);
  const Real *const norms = call.in<Real>(CALM_L2_NORMALIZE_GRAD_NORM);
  const Real *const grad = call.in<Real>(CALM_L2_NORMALIZE_GRAD_GRAD);
  const double eps = call.f64(CALM_L2_NORMALIZE_EPS);
  Real *const out = call.out<Real>(0);
  if (out == nullptr) {
    return;
  }
  for_blocks(call, rows, row_block(d), 5 * static_cast<double>(d),
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t t = begin; t < end; ++t) {
                 const Real *const yt = y + t * d;
                 const Real *const gt = grad + t * d;
                 const auto norm = static_cast<double>(norms[t]);
                 const bool free = norm > eps;
                 const double along =
                     free ? sum_of(d,
                                   [&](std::size_t i) CALM_LAMBDA {
                                     return static_cast<double>(yt[i]) * static_cast<double>(gt[i]);
                                   })
                          : 0.0;
                 const double divisor = free ? norm : eps;
                 for (std::size_t i = 0; i < d; ++i) {
                   out[t * d + i] = static_cast<Real>(
                       (static_cast<double>(gt[i]) - static_cast<double>(yt[i]) * along) / divisor);
                 }
               }
             });
}

CALM_KERNEL(l2_normalize);
CALM_KERNEL(l2_normalize_grad);

}  // namespace calm::reference
