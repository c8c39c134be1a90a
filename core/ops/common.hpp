#pragma once

#include <calm/cpp/operator.hpp>

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

// What operator definitions share: argument checks, gradients that are refused, counting.
namespace calm::ops {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// What one exp, log, tanh, division or square root counts for in `cost`.
inline constexpr double kTranscendental = 10.0;

inline bool has_extents(const calm_type &type) {
  for (std::uint32_t i = 0; i < type.rank; ++i) {
    if (type.shape[i] < 1) {
      return false;
    }
  }
  return true;
}

/// Operand `i` is real, of any shape without an empty axis.
inline const calm_type &real_any(const Call &call, std::uint32_t i, const char *name) {
  call.expect_in(i, name, call.has(i) && is_real(call.in(i)) && has_extents(call.in(i)),
                 "an f32 or f64 tensor");
  return call.in(i);
}

/// Operand `i` is real with `rank` axes, none empty.
inline const calm_type &real_ranked(const Call &call, std::uint32_t i, const char *name,
                                    std::uint32_t rank) {
  const std::string expected = "an f32 or f64 tensor of rank " + std::to_string(rank);
  call.expect_in(
      i, name,
      call.has(i) && is_real(call.in(i)) && call.in(i).rank == rank && has_extents(call.in(i)),
      expected.c_str());
  return call.in(i);
}

/// Operand `i` has exactly this dtype and shape; what its axis 0 counts is left open.
inline void expect_type(const Call &call, std::uint32_t i, const char *name,
                        const calm_type &expected) {
  call.expect_in(
      i, name,
      call.has(i) && call.in(i).dtype == expected.dtype && same_shape(call.in(i), expected),
      describe(expected).c_str());
}

/// Operand `i` is offsets i32 [S + 1]; returns S.
inline std::int64_t expect_offsets(const Call &call, std::uint32_t i) {
  call.expect_in(i, "offsets",
                 call.has(i) && call.in(i).dtype == CALM_I32 && call.in(i).rank == 1 &&
                     call.in(i).shape[0] >= 2,
                 "i32 [sequences + 1]");
  return call.in(i).shape[0] - 1;
}

inline calm_type scalar(calm_dtype dtype) { return type_of(dtype, {}); }

/// One value a row of `rows`, whose axis 0 keeps its tag.
inline calm_type per_row(calm_dtype dtype, const calm_type &rows) {
  return type_of(dtype, {rows.shape[0]}, rows.axis0);
}

/// Refuses to differentiate through output `i`, which is saved for backward or for decoding.
inline void refuse_grad(std::span<const Value> grad_outs, std::size_t i, const char *name) {
  if (grad_outs[i]) {
    throw Error(CALM_UNSUPPORTED, std::string(name) + " is not differentiable");
  }
}

/// A tensor of zeros of `like`'s type.
inline Value zeros_like(const Builder &builder, Value like) {
  return builder.op("fill", {like}, {value("value", 0.0)});
}

inline double count(const calm_type &type) { return static_cast<double>(elements(type)); }

/// Bytes of every operand and of the first `n_out` outputs, each once.
inline double traffic(const Call &call, std::uint32_t n_out = 1) {
  double bytes = 0;
  for (std::uint32_t i = 0; i < call.n_in(); ++i) {
    bytes += call.has(i) ? static_cast<double>(bytes_of(call.in(i))) : 0;
  }
  for (std::uint32_t i = 0; i < n_out; ++i) {
    bytes += static_cast<double>(bytes_of(call.out(i)));
  }
  return bytes;
}

}  // namespace calm::ops
