// Functions of one number for inner loops. The double versions are the standard library's. The
// float versions are written out because a call in a loop costs ten times the loop: plain
// arithmetic, no tables, every branch a selection, so that a compiler can do several elements at
// once.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "parallel.hpp"

namespace calm::reference {

/// e^x to 1.1 units in the last place, for every float: 0 below the smallest subnormal, infinity
/// above the largest number, NaN for NaN.
///
/// x = k ln 2 + r with |r| <= ln(2) / 2, e^x = 2^k e^r. ln 2 is split in two so that k * kLn2High
/// is exact (Cody & Waite); e^r is its Taylor series to r^7 / 7! (the rest is below 6e-9 relative).
CALM_INLINE float exp_of(float x) {
  constexpr float kLow = -104.0F;  // e^x rounds to 0 from here on
  constexpr float kHigh = 89.0F;   // and to infinity from here on
  constexpr float kLog2e = 1.44269504F;
  constexpr float kLn2High = 0.693359375F;
  constexpr float kLn2Low = -2.12194440e-4F;
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
  constexpr float kRound = 12582912.0F;
  x = x < kLow ? kLow : x;  // in this form NaN stays NaN
  x = x > kHigh ? kHigh : x;
  const float shifted = x * kLog2e + kRound;
  const float k = shifted - kRound;
  const float r = (x - k * kLn2High) - k * kLn2Low;
  float q = 1.0F / 5040;
  q = q * r + 1.0F / 720;
  q = q * r + 1.0F / 120;
  q = q * r + 1.0F / 24;
  q = q * r + 1.0F / 6;
  q = q * r + 0.5F;
  const float e = 1.0F + (r + r * r * q);
  // 2^k in two steps, because k runs from -150 to 128 and an exponent from -126 to 127.
  const std::uint32_t n =
      std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kRound);
  const auto half = static_cast<std::uint32_t>(static_cast<std::int32_t>(n) >> 1);
  const float first = std::bit_cast<float>((half + 127U) << 23);
  const float second = std::bit_cast<float>((n - half + 127U) << 23);
  return e * first * second;
}
CALM_INLINE double exp_of(double x) { return std::exp(x); }

/// sigmoid(x) = 1 / (1 + e^-x) and 1 - sigmoid(x), from e^-|x| so that neither tail loses digits.
template <class Real>
struct Sigmoid {
  Real value, rest;
};
template <class Real>
CALM_INLINE Sigmoid<Real> sigmoid_pair(Real x) {
  const Real e = exp_of(x < 0 ? x : -x);
  const Real big = 1 / (1 + e);
  const Real small = e * big;
  return {x < 0 ? small : big, x < 0 ? big : small};
}
template <class Real>
CALM_INLINE Real sigmoid_of(Real x) {
  return sigmoid_pair(x).value;
}

/// x, but never -infinity, so that x * 0 = 0 there; NaN stays NaN.
template <class Real>
CALM_INLINE Real bounded_below(Real x) {
  constexpr Real kMax = std::numeric_limits<Real>::max();
  return x < -kMax ? -kMax : x;
}
/// The same at both ends.
template <class Real>
CALM_INLINE Real bounded(Real x) {
  constexpr Real kMax = std::numeric_limits<Real>::max();
  x = bounded_below(x);
  return x > kMax ? kMax : x;
}

/// x sigmoid(x) and its derivative sigmoid(x) (1 + x (1 - sigmoid(x))).
template <class Real>
CALM_INLINE Real silu_of(Real x) {
  return bounded_below(x) * sigmoid_of(x);
}
template <class Real>
CALM_INLINE Real silu_slope(Real x) {
  const Sigmoid<Real> s = sigmoid_pair(x);
  return s.value * (1 + bounded(x) * s.rest);
}

/// log1p(e^x). For floats max(x, 0) + log1p(e) with e = e^-|x| in (0, 1], where
/// log1p(e) = 2 atanh(s), s = e / (2 + e) <= 1/3, by its series to s^15 (the rest is below 2e-9).
CALM_INLINE float softplus_of(float x) {
  const float e = exp_of(x < 0 ? x : -x);
  const float s = e / (2 + e);
  const float z = s * s;
  float q = 1.0F / 15;
  q = q * z + 1.0F / 13;
  q = q * z + 1.0F / 11;
  q = q * z + 1.0F / 9;
  q = q * z + 1.0F / 7;
  q = q * z + 1.0F / 5;
  q = q * z + 1.0F / 3;
  return (x > 0 ? x : 0) + 2 * (s + s * z * q);
}
CALM_INLINE double softplus_of(double x) { return x > 20 ? x : std::log1p(std::exp(x)); }

/// The derivative of softplus.
template <class Real>
CALM_INLINE Real softplus_slope(Real x) {
  return x > 20 ? Real{1} : sigmoid_of(x);
}

/// gelu(x) = 0.5 x (1 + tanh(u)), u = sqrt(2/pi) (x + 0.044715 x^3). Written x sigmoid(2 u), which
/// is the same and keeps the digits of the left tail.
template <class Real>
CALM_INLINE Real gelu_of(Real x) {
  constexpr Real kTwiceRoot = static_cast<Real>(1.5957691216057307118);  // 2 sqrt(2 / pi)
  constexpr Real kCubic = static_cast<Real>(0.044715);
  return bounded_below(x) * sigmoid_of(kTwiceRoot * (x + kCubic * x * x * x));
}
/// sigmoid(2 u) + x sigmoid(2 u) (1 - sigmoid(2 u)) 2 u'. Beyond 64 it is 0 or 1 to the last bit.
template <class Real>
CALM_INLINE Real gelu_slope(Real x) {
  constexpr Real kTwiceRoot = static_cast<Real>(1.5957691216057307118);
  constexpr Real kCubic = static_cast<Real>(0.044715);
  x = x < -64 ? Real{-64} : x;
  x = x > 64 ? Real{64} : x;
  const Real twice_u = kTwiceRoot * (x + kCubic * x * x * x);
  const Sigmoid<Real> s = sigmoid_pair(twice_u);
  return s.value + x * s.value * s.rest * (kTwiceRoot * (1 + 3 * kCubic * x * x));
}

/// Sum of f(i) for i < n in double, in eight running sums: one fixed order at every level.
template <class F>
CALM_INLINE double sum_of(std::size_t n, F f) {
  constexpr std::size_t kSums = 8;
  double sums[kSums] = {};
  std::size_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (std::size_t l = 0; l < kSums; ++l) {
      sums[l] += static_cast<double>(f(i + l));
    }
  }
  for (std::size_t l = 0; i + l < n; ++l) {
    sums[l] += static_cast<double>(f(i + l));
  }
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

}  // namespace calm::reference
