#pragma once

#include <cmath>
#include <cstddef>

#include "tests/conformance/tolerance.hpp"

namespace calm::conformance {

/// A number computed in double, and a bound on the error of computing it the same way in a coarser
/// dtype, in that dtype's roundoffs: running error analysis, first order (Higham, Accuracy and
/// Stability of Numerical Algorithms, 3.3). Operands made from a double are exact.
struct Tracked {
  double v = 0;
  double e = 0;

  Tracked() = default;
  Tracked(double value) : v(value) {}  // NOLINT(google-explicit-constructor): operands are doubles
  Tracked(double value, double error) : v(value), e(error) {}
};

inline Tracked operator-(Tracked a) { return {-a.v, a.e}; }
inline Tracked operator+(Tracked a, Tracked b) {
  const double v = a.v + b.v;
  return {v, a.e + b.e + std::fabs(v)};
}
inline Tracked operator-(Tracked a, Tracked b) { return a + -b; }
inline Tracked operator*(Tracked a, Tracked b) {
  const double v = a.v * b.v;
  return {v, std::fabs(a.v) * b.e + std::fabs(b.v) * a.e + std::fabs(v)};
}
inline Tracked operator/(Tracked a, Tracked b) {
  const double v = a.v / b.v;
  return {v, (a.e + std::fabs(v) * b.e) / std::fabs(b.v) + std::fabs(v)};
}

// f with derivative `slope` at x.
inline Tracked function(Tracked x, double v, double slope) {
  return {v, std::fabs(slope) * x.e + kFunctionError * std::fabs(v)};
}
inline Tracked exp(Tracked x) { return function(x, std::exp(x.v), std::exp(x.v)); }
inline Tracked log(Tracked x) { return function(x, std::log(x.v), 1 / x.v); }
inline Tracked log1p(Tracked x) { return function(x, std::log1p(x.v), 1 / (1 + x.v)); }
inline Tracked tanh(Tracked x) {
  const double v = std::tanh(x.v);
  return function(x, v, 1 - v * v);
}
inline Tracked sqrt(Tracked x) {
  const double v = std::sqrt(x.v);
  return function(x, v, 0.5 / v);
}
inline Tracked sigmoid(Tracked x) { return Tracked(1) / (Tracked(1) + exp(-x)); }

/// A sum whose bound holds for every order of the terms.
class Sum {
 public:
  void add(Tracked term) {
    value_ += term.v;
    error_ += term.e;
    magnitude_ += std::fabs(term.v);
    ++terms_;
  }
  Tracked result() const { return {value_, error_ + static_cast<double>(terms_) * magnitude_}; }

 private:
  double value_ = 0;
  double error_ = 0;
  double magnitude_ = 0;
  std::size_t terms_ = 0;
};

}  // namespace calm::conformance
