// Functions of one number, a vector of floats at a time; reference/math.hpp has the same names for
// one float. Per lane only: no function looks at another lane. Errors are against exact arithmetic,
// in units of the last place, measured for each instruction set:
//
//                AVX-512  others
//   exp_of           1.8     1.0  whole range: 0 below, infinity above, NaN for NaN
//   exp2_of          1.8     2.2  for decays; results below the smallest normal number may be 0
//   sigmoid_pair     4.2     2.5  both sigmoid(x) and 1 - sigmoid(x)
//   softplus_of      4.3     3.0
//   silu_of and the slopes: a product of these, so one more where nothing cancels
//   gelu_of          2.6     2.5  and left of zero, where 2 u is rounded before e^(2 u), 8 at -2,
//                                 100 at -8
//
// Call them as exp_of(d, x), where d is a tag (hn::ScalableTag<float>) and x an hn::Vec of it.
//
// Compiled once for every instruction set (simd.hpp), hence the unusual guard.
#if defined(CALM_ONEDNN_MATH_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef CALM_ONEDNN_MATH_INL_HPP
#undef CALM_ONEDNN_MATH_INL_HPP
#else
#define CALM_ONEDNN_MATH_INL_HPP
#endif

#include <hwy/highway.h>

#include <limits>

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// max(x, low) and min(x, high), where NaN stays NaN.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V at_least(D d, float low, V x) {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  return hn::Max(hn::Set(d, low), x);  // of two numbers of which one is NaN x86 gives the second
#else
  const V bound = hn::Set(d, low);
  return hn::IfThenElse(hn::Lt(x, bound), bound, x);
#endif
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE V at_most(D d, float high, V x) {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  return hn::Min(hn::Set(d, high), x);
#else
  const V bound = hn::Set(d, high);
  return hn::IfThenElse(hn::Gt(x, bound), bound, x);
#endif
}

namespace detail {

// Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
inline constexpr float kRound = 12582912.0F;

#if HWY_TARGET == HWY_AVX3
/// 2^(i / 32).
alignas(64) inline constexpr float kRoots[32] = {
    1.0F,        1.0218972F,  1.04427373F, 1.06714046F, 1.09050775F, 1.1143868F,  1.13878858F,
    1.1637249F,  1.18920708F, 1.21524739F, 1.24185777F, 1.26905096F, 1.29683959F, 1.32523668F,
    1.35425556F, 1.38390994F, 1.41421354F, 1.44518077F, 1.47682619F, 1.50916445F, 1.54221082F,
    1.5759809F,  1.61049032F, 1.64575553F, 1.68179286F, 1.71861935F, 1.75625217F, 1.79470909F,
    1.8340081F,  1.87416768F, 1.91520655F, 1.95714414F};
// Adding this rounds to a multiple of 1/32 and leaves its number in the low bits of the sum.
inline constexpr float kRoundTo32nd = 393216.0F;

/// kRoots at the low 5 bits of each lane.
HWY_INLINE hn::Vec512<float> roots(hn::Vec512<float> at) {
  return hn::Vec512<float>{_mm512_permutex2var_ps(
      _mm512_load_ps(kRoots), _mm512_castps_si512(at.raw), _mm512_load_ps(kRoots + 16))};
}
HWY_INLINE hn::Vec256<float> roots(hn::Vec256<float> at) {
  return hn::Vec256<float>{
      _mm512_castps512_ps256(roots(hn::Vec512<float>{_mm512_castps256_ps512(at.raw)}).raw)};
}
template <size_t kLanes>
HWY_INLINE hn::Vec128<float, kLanes> roots(hn::Vec128<float, kLanes> at) {
  return hn::Vec128<float, kLanes>{
      _mm512_castps512_ps128(roots(hn::Vec512<float>{_mm512_castps128_ps512(at.raw)}).raw)};
}

/// p 2^floor(k) with one rounding, whatever k is.
HWY_INLINE hn::Vec512<float> scale(hn::Vec512<float> p, hn::Vec512<float> k) {
  return hn::Vec512<float>{_mm512_scalef_ps(p.raw, k.raw)};
}
HWY_INLINE hn::Vec256<float> scale(hn::Vec256<float> p, hn::Vec256<float> k) {
  return hn::Vec256<float>{_mm256_scalef_ps(p.raw, k.raw)};
}
template <size_t kLanes>
HWY_INLINE hn::Vec128<float, kLanes> scale(hn::Vec128<float, kLanes> p,
                                           hn::Vec128<float, kLanes> k) {
  return hn::Vec128<float, kLanes>{_mm_scalef_ps(p.raw, k.raw)};
}

/// 2^(k + f), where k + kRoundTo32nd = `shifted` and |f| <= 1/64: k's fraction from the table; 2^f
/// = 1 + f q(f), q minimax (5e-8 relative, and exact at 0).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V power_of(D d, V shifted, V k, V f) {
  const V root = roots(shifted);
  const V q = hn::MulAdd(hn::Set(d, 0.240228459F), f, hn::Set(d, 0.693157315F));
  return scale(hn::MulAdd(hn::Mul(root, f), q, root), k);
}
#else
/// p 2^k, where k + kRound = `shifted` and k is in [-150, 128]: in two steps, because an exponent
/// only runs from -126 to 127.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V scale_by_shifted(D d, V p, V shifted) {
  const hn::RebindToSigned<D> di;
  const auto bias = hn::Set(di, 127);
  const auto k = hn::Sub(hn::BitCast(di, shifted), hn::BitCast(di, hn::Set(d, kRound)));
  const auto half = hn::ShiftRight<1>(k);
  const V first = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
  const V second = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::Sub(k, half), bias)));
  return hn::Mul(hn::Mul(p, first), second);
}
#endif

/// 1 / x for x in [1, 2^124].
template <class D, class V = hn::Vec<D>>
HWY_INLINE V reciprocal(D d, V x) {
#if HWY_TARGET == HWY_AVX3
  // 14 bits, and a step of Newton's method, without half the time of a division.
  const V r = hn::ApproximateReciprocal(x);
  return hn::MulAdd(r, hn::NegMulAdd(x, r, hn::Set(d, 1.0F)), r);
#else
  return hn::Div(hn::Set(d, 1.0F), x);
#endif
}

/// e^x for x in [-104, 89], from where on it is 0 and infinity. AVX-512: 2^(x log2 e), log2 e in
/// two parts. Else 2^k e^r with |r| <= ln(2) / 2, ln 2 in two parts (Cody & Waite); e^r = 1 + r +
/// r^2 q(r), q minimax (3e-9 relative).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_of_bounded(D d, V x) {
#if HWY_TARGET == HWY_AVX3
  const V log2e = hn::Set(d, 1.44269502F);
  const V shifted = hn::MulAdd(x, log2e, hn::Set(d, kRoundTo32nd));
  const V k = hn::Sub(shifted, hn::Set(d, kRoundTo32nd));
  return power_of(d, shifted, k,
                  hn::MulAdd(x, hn::Set(d, 1.92596303e-8F), hn::MulSub(x, log2e, k)));
#else
  const V shifted = hn::MulAdd(x, hn::Set(d, 1.44269504F), hn::Set(d, kRound));
  const V k = hn::Sub(shifted, hn::Set(d, kRound));
  const V r =
      hn::NegMulAdd(k, hn::Set(d, -2.12194440e-4F), hn::NegMulAdd(k, hn::Set(d, 0.693359375F), x));
  V q = hn::Set(d, 1.3814540190e-3F);
  q = hn::MulAdd(q, r, hn::Set(d, 8.3687451090e-3F));
  q = hn::MulAdd(q, r, hn::Set(d, 4.1668390783e-2F));
  q = hn::MulAdd(q, r, hn::Set(d, 1.6666520399e-1F));
  q = hn::MulAdd(q, r, hn::Set(d, 4.9999993432e-1F));
  const V e = hn::Add(hn::Set(d, 1.0F), hn::MulAdd(hn::Mul(r, r), q, r));
  return scale_by_shifted(d, e, shifted);
#endif
}

}  // namespace detail

/// e^x.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_of(D d, V x) {
  return detail::exp_of_bounded(d, at_most(d, 89.0F, at_least(d, -104.0F, x)));
}
/// e^-|x|.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_of_minus_size(D d, V x) {
  return detail::exp_of_bounded(d, at_least(d, -104.0F, hn::Or(x, hn::SignBit(d))));
}

/// 2^x = 2^k 2^f with |f| <= 1/2 (AVX-512: 1/64); 2^f = 1 + f q(f), q minimax (9e-8 relative, and
/// exact at 0: what decays by almost nothing in each of many steps does not drift).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2_of(D d, V x) {
#if HWY_TARGET == HWY_AVX3
  const V shifted = hn::Add(x, hn::Set(d, detail::kRoundTo32nd));
  const V k = hn::Sub(shifted, hn::Set(d, detail::kRoundTo32nd));
  return detail::power_of(d, shifted, k, hn::Sub(x, k));
#else
  x = at_most(d, 128.0F, at_least(d, -127.0F, x));
  const V shifted = hn::Add(x, hn::Set(d, detail::kRound));
  const V k = hn::Sub(shifted, hn::Set(d, detail::kRound));
  const V f = hn::Sub(x, k);
  V q = hn::Set(d, 1.326459277e-3F);
  q = hn::MulAdd(q, f, hn::Set(d, 9.671618996e-3F));
  q = hn::MulAdd(q, f, hn::Set(d, 5.550735025e-2F));
  q = hn::MulAdd(q, f, hn::Set(d, 2.402224046e-1F));
  q = hn::MulAdd(q, f, hn::Set(d, 6.931469764e-1F));
  q = hn::MulAdd(q, f, hn::Set(d, 1.0F));
  // The exponent of 2^k; of k = -127 it is 0, and so is 2^k.
  const hn::RebindToSigned<D> di;
  const auto bias = hn::Set(di, 127);
  const auto n = hn::Sub(hn::BitCast(di, shifted), hn::BitCast(di, hn::Set(d, detail::kRound)));
  return hn::Mul(q, hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(n, bias))));
#endif
}

/// sigmoid(x) = 1 / (1 + e^-x) and 1 - sigmoid(x), from e^-|x| so that neither tail loses digits.
template <class V>
struct Sigmoid {
  V value, rest;
};
template <class D, class V = hn::Vec<D>>
HWY_INLINE Sigmoid<V> sigmoid_pair(D d, V x) {
  const V e = exp_of_minus_size(d, x);
  const V big = detail::reciprocal(d, hn::Add(hn::Set(d, 1.0F), e));
  const V small = hn::Mul(e, big);
  const auto negative = hn::Lt(x, hn::Zero(d));
  return {hn::IfThenElse(negative, small, big), hn::IfThenElse(negative, big, small)};
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid_of(D d, V x) {
  return sigmoid_pair(d, x).value;
}

/// x, but never infinite, so that x * 0 = 0 there; NaN stays NaN.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V bounded_below(D d, V x) {
  return at_least(d, -std::numeric_limits<float>::max(), x);
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE V bounded(D d, V x) {
  return at_most(d, std::numeric_limits<float>::max(), bounded_below(d, x));
}

/// x sigmoid(x) and its derivative sigmoid(x) (1 + x (1 - sigmoid(x))); both at once where a
/// gradient needs both.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V silu_of(D d, V x) {
  return hn::Mul(bounded_below(d, x), sigmoid_of(d, x));
}
template <class V>
struct ValueAndSlope {
  V value, slope;
};
template <class D, class V = hn::Vec<D>>
HWY_INLINE ValueAndSlope<V> silu_both(D d, V x) {
  const Sigmoid<V> s = sigmoid_pair(d, x);
  return {hn::Mul(bounded_below(d, x), s.value),
          hn::Mul(s.value, hn::MulAdd(bounded(d, x), s.rest, hn::Set(d, 1.0F)))};
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE V silu_slope(D d, V x) {
  return silu_both(d, x).slope;
}

/// log1p(e^x) = max(x, 0) + log1p(e) with e = e^-|x| in (0, 1], where log1p(e) = 2 atanh(s),
/// s = e / (2 + e) <= 1/3; atanh(s) = s + s^3 q(s^2), q minimax (5e-9 relative).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V softplus_of(D d, V x) {
  const V e = exp_of_minus_size(d, x);
  const V s = hn::Mul(e, detail::reciprocal(d, hn::Add(hn::Set(d, 2.0F), e)));
  const V z = hn::Mul(s, s);
  V q = hn::Set(d, 1.4012229516e-1F);
  q = hn::MulAdd(q, z, hn::Set(d, 1.3999570518e-1F));
  q = hn::MulAdd(q, z, hn::Set(d, 2.0010849531e-1F));
  q = hn::MulAdd(q, z, hn::Set(d, 3.3333206566e-1F));
  const V log = hn::MulAdd(hn::Mul(s, z), q, s);
  return hn::Add(at_least(d, 0.0F, x), hn::Add(log, log));
}
/// The derivative of softplus.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V softplus_slope(D d, V x) {
  return hn::IfThenElse(hn::Gt(x, hn::Set(d, 20.0F)), hn::Set(d, 1.0F), sigmoid_of(d, x));
}

namespace detail {

/// For gelu 2^t = e^(-2 u), u = sqrt(2/pi) (x + 0.044715 x^3), and sigmoid(2 u) = 1 / (1 + 2^t): no
/// sign to look at, for |x| <= kGeluBound, where 2^t is a normal number and beyond which sigmoid(2
/// u) is 1, or below 1e-36.
inline constexpr float kGeluBound = 9.9F;
template <class V>
struct GeluGate {
  V power, value;
};
template <class D, class V = hn::Vec<D>>
HWY_INLINE GeluGate<V> gelu_gate(D d, V x, V square) {
  const V slope = hn::MulAdd(square, hn::Set(d, -0.102943242F), hn::Set(d, -2.3022082F));
  const V power = exp2_of(d, hn::Mul(x, slope));
  return {power, reciprocal(d, hn::Add(hn::Set(d, 1.0F), power))};
}

}  // namespace detail

/// gelu(x) = 0.5 x (1 + tanh(u)) = x sigmoid(2 u).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V gelu_of(D d, V x) {
  x = at_least(d, -detail::kGeluBound, x);
  const V bounded = at_most(d, detail::kGeluBound, x);
  return hn::Mul(x, detail::gelu_gate(d, bounded, hn::Mul(bounded, bounded)).value);
}
/// sigmoid(2 u) + x sigmoid(2 u) (1 - sigmoid(2 u)) 2 u'.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V gelu_slope(D d, V x) {
  x = at_most(d, detail::kGeluBound, at_least(d, -detail::kGeluBound, x));
  const V square = hn::Mul(x, x);
  const detail::GeluGate<V> gate = detail::gelu_gate(d, x, square);
  const V rest = hn::Mul(gate.power, gate.value);
  const V slope = hn::MulAdd(square, hn::Set(d, 0.214064449F), hn::Set(d, 1.5957691216F));
  return hn::MulAdd(hn::Mul(x, slope), hn::Mul(gate.value, rest), gate.value);
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
