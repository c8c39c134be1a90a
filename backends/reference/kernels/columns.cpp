// split and concat: columns of [T, d] as tensors of their own and back; fill: one number
// everywhere.
#include <calm/ops/columns.h>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <array>
#include <cstring>
#include <string>

#include "../parallel.hpp"

namespace calm::reference {
namespace {

/// The narrow tensors of split (outputs) and concat (inputs), side by side.
template <class Real>
struct Piece {
  Real *data;
  std::size_t width;
};
template <class Real>
struct Pieces {
  std::array<Piece<Real>, CALM_COLUMNS_MAX> piece{};
  std::size_t n = 0;
  std::size_t width = 0;  // of all together
};

template <class Real>
double ops_of(const Pieces<Real> &pieces) {
  return static_cast<double>(pieces.width + 16 * pieces.n);
}

}  // namespace

template <class>
std::size_t split_plan(const Node &node) {
  std::int64_t sum = 0;
  std::size_t n = 0;
  for (std::size_t i = 0; i < CALM_COLUMNS_MAX && node.attrs[i].i64 > 0; ++i, ++n) {
    const std::int64_t size = node.attrs[i].i64;
    const bool fits =
        size <= node.ins[0].shape[1] &&
        (i >= node.outs.size() || node.outs[i].dtype == 0 || node.outs[i].shape[1] == size);
    if (!fits) {
      throw Error(CALM_INVALID_ARGUMENT,
                  "output " + std::to_string(i) + ": expected " + std::to_string(size) +
                      " columns, found " +
                      (i < node.outs.size() ? describe(node.outs[i]) : describe(node.ins[0])));
    }
    sum += size;
  }
  if (sum != node.ins[0].shape[1] || node.outs.size() > n) {
    throw Error(CALM_INVALID_ARGUMENT, "expected sizes that add up to the columns of " +
                                           describe(node.ins[0]) + ", found " +
                                           std::to_string(sum));
  }
  return 0;
}

template <class Real>
void split(const Call &call) {
  const Real *const x = call.in<Real>(0);
  Pieces<Real> pieces;
  pieces.width = call.extent(0, 1);
  for (std::uint32_t i = 0; i < CALM_COLUMNS_MAX && call.i64(i) > 0; ++i) {
    pieces.piece[pieces.n++] = {call.out<Real>(i), static_cast<std::size_t>(call.i64(i))};
  }
  for_blocks(call, call.extent(0, 0), row_block(pieces.width), ops_of(pieces),
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               std::size_t column = 0;
               for (std::size_t p = 0; p < pieces.n; ++p) {
                 const auto [out, width] = pieces.piece[p];
                 for (std::size_t t = begin; out != nullptr && t < end; ++t) {
                   std::memcpy(out + t * width, x + t * pieces.width + column,
                               width * sizeof(Real));
                 }
                 column += width;
               }
             });
}

template <class>
std::size_t concat_plan(const Node &node) {
  std::int64_t sum = 0;
  for (const calm_type &type : node.ins) {
    sum += type.shape[1];
  }
  if (!node.outs.empty() && node.outs[0].dtype != 0 && node.outs[0].shape[1] != sum) {
    throw Error(CALM_INVALID_ARGUMENT, "output 0: expected " + std::to_string(sum) +
                                           " columns, found " + describe(node.outs[0]));
  }
  return 0;
}

template <class Real>
void concat(const Call &call) {
  Real *const y = call.out<Real>(0);
  if (y == nullptr) {
    return;
  }
  Pieces<const Real> pieces;
  for (std::uint32_t i = 0; i < call.n_in(); ++i) {
    pieces.piece[pieces.n++] = {call.in<Real>(i), call.extent(i, 1)};
    pieces.width += call.extent(i, 1);
  }
  for_blocks(call, call.extent(0, 0), row_block(pieces.width), ops_of(pieces),
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               std::size_t column = 0;
               for (std::size_t p = 0; p < pieces.n; ++p) {
                 const auto [x, width] = pieces.piece[p];
                 for (std::size_t t = begin; t < end; ++t) {
                   std::memcpy(y + t * pieces.width + column, x + t * width, width * sizeof(Real));
                 }
                 column += width;
               }
             });
}

template <class>
std::size_t fill_plan(const Node &node) {
  const calm_dtype dtype = node.ins[0].dtype;
  if (!node.outs.empty() && node.outs[0].dtype != 0 && node.outs[0].dtype != dtype) {
    throw Error(CALM_INVALID_ARGUMENT, "output 0: expected " + describe(node.ins[0]) + ", found " +
                                           describe(node.outs[0]));
  }
  if (dtype != CALM_F32 && dtype != CALM_F64 && dtype != CALM_I32) {
    throw Error(CALM_UNSUPPORTED, "no " + std::string(dtype_name(dtype)) + " kernel for fill");
  }
  const double value = node.attrs[CALM_FILL_VALUE].f64;
  if (dtype == CALM_I32 && !(value > -2147483649.0 && value < 2147483648.0)) {
    throw Error(CALM_INVALID_ARGUMENT,
                "expected a value of 32 bits, found " + std::to_string(value));
  }
  return 0;
}

namespace {

template <class T>
void fill_with(const Call &call) {
  T *const y = call.out<T>(0);
  const T value = static_cast<T>(call.f64(CALM_FILL_VALUE));
  for_blocks(call, count(call.node().ins[0]), kElementBlock, 1,
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t i = begin; i < end; ++i) {
                 y[i] = value;
               }
             });
}

}  // namespace

template <class>
void fill(const Call &call) {
  if (call.out<void>(0) == nullptr) {
    return;
  }
  switch (call.node().ins[0].dtype) {
    case CALM_F32:
      return fill_with<float>(call);
    case CALM_F64:
      return fill_with<double>(call);
    default:
      return fill_with<std::int32_t>(call);
  }
}

CALM_PLANNED_KERNEL(split);
CALM_PLANNED_KERNEL(concat);
CALM_PLANNED_KERNEL(fill);

}  // namespace calm::reference
