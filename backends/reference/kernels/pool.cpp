// One row a sequence: the mean of its rows or its last row; an empty sequence gives 0 (spec G).
#include <calm/ops/pool.h>

#include <calm/cpp/error.hpp>

#include <algorithm>
#include <string>

#include "../math.hpp"
#include "../parallel.hpp"

namespace calm::reference {
namespace {

void check_mode(const Node &node) {
  const std::int64_t mode = node.attrs[CALM_POOL_MODE].i64;
  if (mode != CALM_POOL_MEAN && mode != CALM_POOL_LAST) {
    throw Error(CALM_INVALID_ARGUMENT, "expected mode 0 or 1, found " + std::to_string(mode));
  }
}

}  // namespace

template <class Real>
std::size_t pool_plan(const Node &node) {
  check_mode(node);
  Scratch scratch;
  scratch.take<double>((node.extent(CALM_POOL_OFFSETS, 0) - 1) * node.extent(CALM_POOL_X, 1));
  return scratch.used();
}

template <class Real>
void pool(const Call &call) {
  const Real *const x = call.in<Real>(CALM_POOL_X);
  const auto *const offsets = call.in<std::int32_t>(CALM_POOL_OFFSETS);
  const std::size_t d = call.extent(CALM_POOL_X, 1);
  const bool last = call.i64(CALM_POOL_MODE) == CALM_POOL_LAST;
  Real *const y = call.out<Real>(0);
  if (y == nullptr) {
    return;
  }
  double *const sums = Scratch(call.scratch()).take<double>(0);
  for_shards(call, call.extent(CALM_POOL_OFFSETS, 0) - 1,
             static_cast<double>(call.extent(CALM_POOL_X, 0)) * static_cast<double>(d),
             [&](std::size_t s, auto) CALM_LAMBDA {
               const auto begin = static_cast<std::size_t>(offsets[s]);
               const auto end = static_cast<std::size_t>(offsets[s + 1]);
               Real *const to = y + s * d;
               if (begin == end) {
                 std::fill_n(to, d, Real{0});
               } else if (last) {
                 std::copy_n(x + (end - 1) * d, d, to);
               } else {
                 double *const sum = sums + s * d;
                 std::fill_n(sum, d, 0.0);
                 for (std::size_t t = begin; t < end; ++t) {
                   for (std::size_t i = 0; i < d; ++i) {
                     sum[i] += static_cast<double>(x[t * d + i]);
                   }
                 }
                 for (std::size_t i = 0; i < d; ++i) {
                   to[i] = static_cast<Real>(sum[i] / static_cast<double>(end - begin));
                 }
               }
             });
}

template <class Real>
std::size_t pool_grad_plan(const Node &node) {
  check_mode(node);
  return 0;
}

template <class Real>
void pool_grad(const Call &call) {
  const auto *const offsets = call.in<std::int32_t>(CALM_POOL_OFFSETS);
  const Real *const grad = call.in<Real>(CALM_POOL_GRAD_GRAD);
  const std::size_t rows = call.extent(CALM_POOL_X, 0);
  const std::size_t d = call.extent(CALM_POOL_X, 1);
  const std::size_t sequences = call.extent(CALM_POOL_OFFSETS, 0) - 1;
  const bool last = call.i64(CALM_POOL_MODE) == CALM_POOL_LAST;
  Real *const out = call.out<Real>(0);
  if (out == nullptr) {
    return;
  }
  for_shards(call, sequences, static_cast<double>(rows) * static_cast<double>(d),
             [&](std::size_t s, auto) CALM_LAMBDA {
               const auto begin = static_cast<std::size_t>(offsets[s]);
               const auto end = static_cast<std::size_t>(offsets[s + 1]);
               const Real share = last ? Real{1} : 1 / static_cast<Real>(end - begin);
               for (std::size_t t = begin; t < end; ++t) {
                 const Real scale = last && t + 1 < end ? Real{0} : share;
                 for (std::size_t i = 0; i < d; ++i) {
                   out[t * d + i] = grad[s * d + i] * scale;
                 }
               }
             });
  const auto live = static_cast<std::size_t>(offsets[sequences]);
  std::fill_n(out + live * d, (rows - live) * d, Real{0});
}

CALM_PLANNED_KERNEL(pool);
CALM_PLANNED_KERNEL(pool_grad);

}  // namespace calm::reference
