// x as another dtype. To bf16: round to nearest, ties to even (add half of the last kept bit, and
// the last kept bit itself when it is a tie); a NaN stays a NaN.
#include <calm/ops/cast.h>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <bit>
#include <cmath>
#include <string>

#include "../parallel.hpp"

namespace calm::reference {
namespace {

/// Storage of a bf16: the upper half of a float.
struct Bf16 {
  std::uint16_t bits;
};

CALM_INLINE float load(Bf16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16);
}
template <class T>
CALM_INLINE T load(T x) {
  return x;
}

template <class To, class From>
CALM_INLINE To store(From x) {
  if constexpr (std::is_same_v<To, Bf16>) {
    const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(x));
    if (std::isnan(x)) {
      return {static_cast<std::uint16_t>((bits >> 16) | 0x40U)};
    }
    return {static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16)};
  } else {
    return static_cast<To>(x);
  }
}

template <class To, class From>
void convert(const Call &call) {
  const From *const x = call.in<From>(0);
  To *const y = call.out<To>(0);
  for_blocks(call, count(call.node().ins[0]), kElementBlock, 4,
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t i = begin; i < end; ++i) {
                 y[i] = store<To>(load(x[i]));
               }
             });
}

template <class From>
void convert_from(const Call &call) {
  switch (call.node().outs[0].dtype) {
    case CALM_F32:
      return convert<float, From>(call);
    case CALM_F64:
      return convert<double, From>(call);
    default:
      return convert<Bf16, From>(call);
  }
}

bool is_target(calm_dtype dtype) {
  return dtype == CALM_F32 || dtype == CALM_F64 || dtype == CALM_BF16;
}

}  // namespace

template <class>
std::size_t cast_plan(const Node &node) {
  const calm_dtype from = node.ins[0].dtype;
  const auto to = static_cast<calm_dtype>(node.attrs[CALM_CAST_DTYPE].i64);
  const bool named = node.outs.empty() || node.outs[0].dtype == 0 || node.outs[0].dtype == to;
  if (!named) {
    throw Error(CALM_INVALID_ARGUMENT, "expected a result of " + std::string(dtype_name(to)) +
                                           ", found " + describe(node.outs[0]));
  }
  if ((from != CALM_I32 && !is_target(from)) || !is_target(to)) {
    throw Error(CALM_UNSUPPORTED, "no kernel for cast from " + std::string(dtype_name(from)) +
                                      " to " + std::string(dtype_name(to)));
  }
  return 0;
}

template <class>
void cast(const Call &call) {
  if (call.out<void>(0) == nullptr) {
    return;
  }
  switch (call.node().ins[0].dtype) {
    case CALM_F32:
      return convert_from<float>(call);
    case CALM_F64:
      return convert_from<double>(call);
    case CALM_BF16:
      return convert_from<Bf16>(call);
    default:
      return convert_from<std::int32_t>(call);
  }
}

CALM_PLANNED_KERNEL(cast);

}  // namespace calm::reference
