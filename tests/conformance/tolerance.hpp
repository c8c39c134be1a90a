#pragma once

#include <calm/tensor.h>

#include <cfloat>
#include <cmath>

// How far a backend may be from exact arithmetic: the one place. Bounds are derived, not tuned: an
// oracle computes each element in double together with the sum of the rounding errors a plain
// evaluation in the tested dtype can make, in units of its roundoff (oracle/tracked.hpp).
namespace calm::conformance {

/// Half the distance from 1 to the next number: the largest relative error of one rounding.
inline double roundoff(calm_dtype dtype) {
  switch (dtype) {
    case CALM_F64:
      return DBL_EPSILON / 2;
    case CALM_F32:
      return static_cast<double>(FLT_EPSILON) / 2;
    case CALM_BF16:
      return 0x1p-8;
    default:
      return 0;  // integers are exact
  }
}

/// Results below the smallest normal number may be flushed to zero.
inline double tiny(calm_dtype dtype) {
  return dtype == CALM_F64 ? DBL_MIN : dtype == CALM_F32 || dtype == CALM_BF16 ? FLT_MIN : 0;
}

/// Roundoffs an exp, log or tanh may be off: 4 units in the last place, each up to two roundoffs.
/// GPU libraries promise 1 to 3 of them.
inline constexpr double kFunctionError = 8;

/// The bounds are of first order, and in f64 the oracle rounds as much as the backend does.
inline constexpr double kSafety = 2;

/// Allowed distance of a computed element from the oracle's, whose error is `error` roundoffs.
inline double allowed(calm_dtype dtype, double error) {
  return kSafety * roundoff(dtype) * error + (error > 0 ? tiny(dtype) : 0);
}

/// Normal draws agree to this on every backend (program rule 11).
inline constexpr double kNormalDraw = 1e-6;

/// Finite differences of the oracle, in double, over x +- h and x +- 2h. Truncation is h^4 / 30
/// times the fifth derivative, 5e-13 of it; rounding is 1.5 roundoffs / h of each of the terms
/// added up in the loss, 1e-13 of it. Fifth derivatives and losses of the cases stay below 1e5.
inline constexpr double kStep = 0x1p-9;
inline constexpr double kFiniteDifference = 1e-7;

inline double allowed_difference(double gradient) {
  return kFiniteDifference * std::fmax(1.0, std::fabs(gradient));
}

}  // namespace calm::conformance
