// sum over rows (axis 0), columns (axis 1) or everything (axis -1), added up in double; broadcast
// is the reverse.
#include <calm/ops/reduce.h>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <algorithm>
#include <string>

#include "../math.hpp"
#include "../parallel.hpp"

namespace calm::reference {
namespace {

/// `wide` is the tensor before the sum, `narrow` (dtype 0: absent) after it.
void check_reduce(const calm_type &wide, const calm_type &narrow, std::int64_t axis) {
  if (axis < -1 || axis > 1 || (axis >= 0 && wide.rank != 2)) {
    throw Error(CALM_INVALID_ARGUMENT, "expected axis -1, or 0 or 1 of a matrix, found " +
                                           std::to_string(axis) + " of " + describe(wide));
  }
  const bool right =
      axis < 0 ? narrow.rank == 0 : narrow.rank == 1 && narrow.shape[0] == wide.shape[1 - axis];
  if (narrow.dtype != 0 && !right) {
    throw Error(CALM_INVALID_ARGUMENT, "expected the sum of " + describe(wide) + " over axis " +
                                           std::to_string(axis) + ", found " + describe(narrow));
  }
}

calm_type first_output(const Node &node) { return node.outs.empty() ? calm_type{} : node.outs[0]; }

}  // namespace

template <class Real>
std::size_t sum_plan(const Node &node) {
  const std::int64_t axis = node.attrs[CALM_REDUCE_AXIS].i64;
  check_reduce(node.ins[0], first_output(node), axis);
  Scratch scratch;
  if (axis < 0) {
    scratch.take<double>(div_up(count(node.ins[0]), kElementBlock));
  } else if (axis == 0) {
    scratch.take<double>(groups_of(node.extent(0, 0)) * node.extent(0, 1));
  }
  return scratch.used();
}

namespace {

template <class Real>
void sum_all(const Call &call, const Real *x, double *sums, Real *y) {
  const std::size_t n = count(call.node().ins[0]);
  for_blocks(call, n, kElementBlock, 1, [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
    sums[begin / kElementBlock] =
        sum_of(end - begin, [&](std::size_t i) CALM_LAMBDA { return x[begin + i]; });
  });
  double total = 0;
  for (std::size_t i = 0; i < div_up(n, kElementBlock); ++i) {
    total += sums[i];
  }
  *y = static_cast<Real>(total);
}

template <class Real>
void sum_rows(const Call &call, const Real *x, double *sums, Real *y) {
  const std::size_t rows = call.extent(0, 0);
  const std::size_t d = call.extent(0, 1);
  const std::size_t groups = groups_of(rows);
  for_shards(call, groups, static_cast<double>(rows) * static_cast<double>(d),
             [&](std::size_t group, auto) CALM_LAMBDA {
               double *const sum = sums + group * d;
               std::fill_n(sum, d, 0.0);
               const auto [begin, end] = part(rows, groups, group);
               for (std::size_t t = begin; t < end; ++t) {
                 for (std::size_t i = 0; i < d; ++i) {
                   sum[i] += static_cast<double>(x[t * d + i]);
                 }
               }
             });
  for (std::size_t i = 0; i < d; ++i) {
    double total = 0;
    for (std::size_t group = 0; group < groups; ++group) {
      total += sums[group * d + i];
    }
    y[i] = static_cast<Real>(total);
  }
}

}  // namespace

template <class Real>
void sum(const Call &call) {
  const Real *const x = call.in<Real>(0);
  Real *const y = call.out<Real>(0);
  if (y == nullptr) {
    return;
  }
  double *const sums = Scratch(call.scratch()).take<double>(0);
  const std::int64_t axis = call.i64(CALM_REDUCE_AXIS);
  if (axis < 0) {
    sum_all(call, x, sums, y);
  } else if (axis == 0) {
    sum_rows(call, x, sums, y);
  } else {
    const std::size_t d = call.extent(0, 1);
    for_blocks(call, call.extent(0, 0), row_block(d), static_cast<double>(d),
               [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
                 for (std::size_t t = begin; t < end; ++t) {
                   y[t] = static_cast<Real>(
                       sum_of(d, [&](std::size_t i) CALM_LAMBDA { return x[t * d + i]; }));
                 }
               });
  }
}

template <class Real>
std::size_t broadcast_plan(const Node &node) {
  const calm_type like = node.ins[CALM_BROADCAST_LIKE];
  const calm_type out = first_output(node);
  check_reduce(like, node.ins[CALM_BROADCAST_X], node.attrs[CALM_REDUCE_AXIS].i64);
  if (out.dtype != 0 &&
      !(out.rank == like.rank && std::equal(out.shape, out.shape + out.rank, like.shape))) {
    throw Error(CALM_INVALID_ARGUMENT,
                "output 0: expected " + describe(like) + ", found " + describe(out));
  }
  return 0;
}

template <class Real>
void broadcast(const Call &call) {
  const Real *const x = call.in<Real>(CALM_BROADCAST_X);
  Real *const y = call.out<Real>(0);
  if (y == nullptr) {
    return;
  }
  const std::int64_t axis = call.i64(CALM_REDUCE_AXIS);
  if (axis < 0) {
    for_blocks(call, count(call.node().ins[CALM_BROADCAST_LIKE]), kElementBlock, 1,
               [&](std::size_t begin, std::size_t end)
                   CALM_LAMBDA { std::fill(y + begin, y + end, x[0]); });
    return;
  }
  const std::size_t d = call.extent(CALM_BROADCAST_LIKE, 1);
  for_blocks(call, call.extent(CALM_BROADCAST_LIKE, 0), row_block(d), static_cast<double>(d),
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t t = begin; t < end; ++t) {
                 if (axis == 0) {
                   std::copy_n(x, d, y + t * d);
                 } else {
                   std::fill_n(y + t * d, d, x[t]);
                 }
               }
             });
}

CALM_PLANNED_KERNEL(sum);
CALM_PLANNED_KERNEL(broadcast);

}  // namespace calm::reference
