// accumulate, global_norm, guard, adamw, record (calm/ops/optimizer.h has the equations; AdamW is
// Loshchilov & Hutter, arXiv 1711.05101, algorithm 2).
#include <calm/ops/optimizer.h>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <cmath>
#include <cstring>
#include <string>

#include "../math.hpp"
#include "../parallel.hpp"

namespace calm::reference {

template <class Real>
void accumulate(const Call &call) {
  const Real *const sum = call.in<Real>(CALM_ACCUMULATE_SUM);
  const Real *const value = call.in<Real>(CALM_ACCUMULATE_VALUE);
  const bool first = call.scalar<std::int32_t>(CALM_ACCUMULATE_FIRST) != 0;
  Real *const out = call.out<Real>(0);
  if (out == nullptr) {
    return;
  }
  for_blocks(call, count(call.node().ins[0]), kElementBlock, 1,
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               if (first) {
                 for (std::size_t i = begin; i < end; ++i) {
                   out[i] = value[i];
                 }
               } else {
                 for (std::size_t i = begin; i < end; ++i) {
                   out[i] = sum[i] + value[i];
                 }
               }
             });
}

template <class Real>
std::size_t global_norm_plan(const Node &node) {
  std::size_t blocks = 0;
  for (const calm_type &type : node.ins) {
    blocks += div_up(count(type), kElementBlock);
  }
  Scratch scratch;
  scratch.take<double>(blocks);
  return scratch.used();
}

template <class Real>
void global_norm(const Call &call) {
  // One sum a block, block after block of all tensors.
  double *const sums = Scratch(call.scratch()).take<double>(0);
  std::size_t blocks = 0;
  for (std::uint32_t input = 0; input < call.n_in(); ++input) {
    const Real *const x = call.in<Real>(input);
    const std::size_t n = count(call.node().ins[input]);
    double *const own = sums + blocks;
    for_blocks(call, n, kElementBlock, 2, [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
      own[begin / kElementBlock] = sum_of(end - begin, [&](std::size_t i) CALM_LAMBDA {
        const double g = static_cast<double>(x[begin + i]);
        return g * g;
      });
    });
    blocks += div_up(n, kElementBlock);
  }
  double squares = 0;
  for (std::size_t i = 0; i < blocks; ++i) {
    squares += sums[i];
  }
  const Real norm = static_cast<Real>(std::sqrt(squares));
  if (Real *const out = call.out<Real>(CALM_GLOBAL_NORM_NORM)) {
    *out = norm;
  }
  if (Real *const out = call.out<Real>(CALM_GLOBAL_NORM_COEFFICIENT)) {
    const double c = call.f64(CALM_GLOBAL_NORM_MAX_NORM) / (static_cast<double>(norm) + 1e-6);
    *out = c < 1 ? static_cast<Real>(c) : Real{1};
  }
  if (auto *const out = call.out<std::int32_t>(CALM_GLOBAL_NORM_OK)) {
    *out = std::isfinite(norm) ? 1 : 0;
  }
}

template <class>
void guard(const Call &call) {
  const bool ok = call.scalar<std::int32_t>(CALM_GUARD_OK) != 0;
  const std::int32_t bad = call.scalar<std::int32_t>(CALM_GUARD_BAD);
  const bool stuck = bad >= CALM_GUARD_LIMIT;
  if (auto *const go = call.out<std::int32_t>(0)) {
    *go = ok && !stuck ? 1 : 0;
  }
  if (auto *const out = call.out<std::int32_t>(1)) {
    *out = stuck ? bad : ok ? 0 : bad + 1;
  }
}

template <class Real>
void adamw(const Call &call) {
  const Real *const param = call.in<Real>(CALM_ADAMW_PARAM);
  const Real *const grad = call.in<Real>(CALM_ADAMW_GRAD);
  const Real *const m = call.in<Real>(CALM_ADAMW_M);
  const Real *const v = call.in<Real>(CALM_ADAMW_V);
  Real *const out_param = call.out<Real>(0);
  Real *const out_m = call.out<Real>(1);
  Real *const out_v = call.out<Real>(2);
  const bool go = call.scalar<std::int32_t>(CALM_ADAMW_GO) != 0;
  // Numbers of the whole step, computed in double.
  const double lr = static_cast<double>(call.scalar<Real>(CALM_ADAMW_LR));
  const double bias1 = static_cast<double>(call.scalar<Real>(CALM_ADAMW_BIAS1));
  const double bias2 = static_cast<double>(call.scalar<Real>(CALM_ADAMW_BIAS2));
  const double beta1 = call.f64(CALM_ADAMW_BETA1);
  const double beta2 = call.f64(CALM_ADAMW_BETA2);
  const Real coefficient = call.scalar<Real>(CALM_ADAMW_COEFFICIENT);
  const Real clip = coefficient < 1 ? coefficient : Real{1};
  const Real keep = static_cast<Real>(1 - lr * call.f64(CALM_ADAMW_WEIGHT_DECAY));
  const Real keep_m = static_cast<Real>(beta1);
  const Real take_m = static_cast<Real>(1 - beta1);
  const Real keep_v = static_cast<Real>(beta2);
  const Real take_v = static_cast<Real>(1 - beta2);
  const Real step = static_cast<Real>(lr / bias1);
  const Real root_bias2 = static_cast<Real>(std::sqrt(bias2));
  const Real eps = static_cast<Real>(call.f64(CALM_ADAMW_EPS));
  for_blocks(call, call.extent(CALM_ADAMW_PARAM, 0), kElementBlock, 16,
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t i = begin; i < end; ++i) {
                 const Real g = grad[i] * clip;
                 const Real new_m = go ? keep_m * m[i] + take_m * g : m[i];
                 const Real new_v = go ? keep_v * v[i] + take_v * g * g : v[i];
                 const Real moved =
                     param[i] * keep - step * new_m / (std::sqrt(new_v) / root_bias2 + eps);
                 const Real new_param = go ? moved : param[i];
                 if (out_param != nullptr) {
                   out_param[i] = new_param;
                 }
                 if (out_m != nullptr) {
                   out_m[i] = new_m;
                 }
                 if (out_v != nullptr) {
                   out_v[i] = new_v;
                 }
               }
             });
}

template <class>
std::size_t record_plan(const Node &node) {
  const std::size_t values = node.ins.size() - CALM_RECORD_VALUES;
  if (node.extent(CALM_RECORD_RING, 1) != values) {
    throw Error(CALM_INVALID_ARGUMENT, "expected a column a value, found " +
                                           describe(node.ins[CALM_RECORD_RING]) + " for " +
                                           std::to_string(values));
  }
  for (std::size_t i = CALM_RECORD_VALUES; i < node.ins.size(); ++i) {
    const calm_dtype dtype = node.ins[i].dtype;
    if (dtype != node.ins[CALM_RECORD_RING].dtype && dtype != CALM_I32) {
      throw Error(CALM_INVALID_ARGUMENT, "input " + std::to_string(i) +
                                             ": expected the ring's dtype or i32, found " +
                                             describe(node.ins[i]));
    }
  }
  return 0;
}

template <class Real>
void record(const Call &call) {
  const Real *const ring = call.in<Real>(CALM_RECORD_RING);
  Real *const out = call.out<Real>(0);
  const auto rows = static_cast<std::int64_t>(call.extent(CALM_RECORD_RING, 0));
  const std::size_t columns = call.extent(CALM_RECORD_RING, 1);
  if (out == nullptr || rows == 0) {
    return;
  }
  if (out != ring) {
    std::memcpy(out, ring, static_cast<std::size_t>(rows) * columns * sizeof(Real));
  }
  const std::int64_t row = call.scalar<std::int32_t>(CALM_RECORD_ROW) % rows;
  Real *const to = out + static_cast<std::size_t>(row < 0 ? row + rows : row) * columns;
  for (std::size_t i = 0; i < columns; ++i) {
    const auto input = static_cast<std::uint32_t>(CALM_RECORD_VALUES + i);
    to[i] = call.node().ins[input].dtype == CALM_I32
                ? static_cast<Real>(call.scalar<std::int32_t>(input))
                : call.scalar<Real>(input);
  }
}

CALM_KERNEL(accumulate);
CALM_PLANNED_KERNEL(global_norm);
CALM_KERNEL(guard);
CALM_KERNEL(adamw);
CALM_PLANNED_KERNEL(record);

}  // namespace calm::reference
