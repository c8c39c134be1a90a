// Walks over rows of numbers, for the kernels that treat every element or every row alike. Compiled
// once for each instruction set (simd.hpp). Nothing outside the rows given is read or written: the
// last elements of a row go through a mask.
//
// A lambda in here or given to these functions ends its head with CALM_SIMD: it is compiled for the
// target around it and has no call of its own.
#if defined(CALM_ONEDNN_ROWS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef CALM_ONEDNN_ROWS_INL_HPP
#undef CALM_ONEDNN_ROWS_INL_HPP
#else
#define CALM_ONEDNN_ROWS_INL_HPP
#endif

#include <hwy/highway.h>

#include <initializer_list>
#include <limits>
#include <utility>

#include "onednn/kernel.hpp"

#undef CALM_SIMD
#define CALM_SIMD HWY_ATTR __attribute__((always_inline))

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;
inline constexpr Floats kFloats{};
/// As many doubles as fit a vector, and the floats they are rounded to.
using Doubles = hn::ScalableTag<double>;
using HalfFloats = hn::Rebind<float, Doubles>;

/// An operand that may be absent, also by the node having fewer.
inline Operand output(const Call &call, std::size_t i) {
  return i < call.node->outs.size() ? call.outs[i] : Operand{};
}

/// Elements of a record of axis 0.
HWY_NOINLINE inline std::size_t record_width(const calm_type &type) {
  std::size_t width = 1;
  for (std::uint32_t axis = 1; axis < type.rank; ++axis) {
    width *= static_cast<std::size_t>(type.shape[axis]);
  }
  return width;
}

/// All lanes of a vector in memory.
struct Whole {
  HWY_INLINE Vector load(const float *p) const { return hn::LoadU(kFloats, p); }
  HWY_INLINE Vector load_or(Vector /*rest*/, const float *p) const { return load(p); }
  HWY_INLINE Vector or_zero(Vector v) const { return v; }
  HWY_INLINE void store(Vector v, float *p) const { hn::StoreU(v, kFloats, p); }
};

/// The first lanes: the others are not touched in memory.
struct Part {
  hn::Mask<Floats> mask;
  HWY_INLINE Vector load(const float *p) const { return hn::MaskedLoad(mask, kFloats, p); }
  HWY_INLINE Vector load_or(Vector rest, const float *p) const {
    return hn::IfThenElse(mask, load(p), rest);
  }
  HWY_INLINE Vector or_zero(Vector v) const { return hn::IfThenElseZero(mask, v); }
  HWY_INLINE void store(Vector v, float *p) const { hn::BlendedStore(v, mask, kFloats, p); }
};

/// Calls body(i, lanes) for the vectors of n elements, `i` the first element of each.
template <class Body>
HWY_INLINE void for_vectors(std::size_t n, Body body) {
  const std::size_t lanes = hn::Lanes(kFloats);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    body(i, Whole{});
  }
  if (i < n) {
    body(i, Part{hn::FirstN(kFloats, n - i)});
  }
}

/// An accumulator carried over the vectors of n elements: start, then step(accumulator, i, lanes)
/// for each, in four accumulators at a time (a sum waits for the sum before), put together by
/// merge.
template <class Accumulator, class Step, class Merge>
HWY_INLINE Accumulator fold(std::size_t n, Accumulator start, Step step, Merge merge) {
  const std::size_t lanes = hn::Lanes(kFloats);
  Accumulator a = start, b = start, c = start, d = start;
  std::size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    a = step(a, i, Whole{});
    b = step(b, i + lanes, Whole{});
    c = step(c, i + 2 * lanes, Whole{});
    d = step(d, i + 3 * lanes, Whole{});
  }
  for (; i + lanes <= n; i += lanes) {
    a = step(a, i, Whole{});
  }
  if (i < n) {
    b = step(b, i, Part{hn::FirstN(kFloats, n - i)});
  }
  return merge(merge(a, b), merge(c, d));
}

/// Sum of term(i, lanes), which is 0 in the lanes left out.
template <class Term>
HWY_INLINE float sum_of(std::size_t n, Term term) {
  const Vector sums = fold(
      n, hn::Zero(kFloats),
      [&](Vector sum, std::size_t i, auto lanes) CALM_SIMD { return hn::Add(sum, term(i, lanes)); },
      [](Vector a, Vector b) CALM_SIMD { return hn::Add(a, b); });
  return hn::GetLane(hn::SumOfLanes(kFloats, sums));
}

/// The largest of n numbers, in every lane. With a NaN among them it may be NaN.
HWY_INLINE Vector max_of(const float *x, std::size_t n) {
  const Vector low = hn::Set(kFloats, -std::numeric_limits<float>::infinity());
  const Vector tops = fold(
      n, low,
      [&](Vector top, std::size_t i, auto lanes)
          CALM_SIMD { return hn::Max(top, lanes.load_or(low, x + i)); },
      [](Vector a, Vector b) CALM_SIMD { return hn::Max(a, b); });
  return hn::MaxOfLanes(kFloats, tops);
}

/// Calls body(record, n) for runs of n elements that lie behind each other in every operand: the
/// call's rows, or all of them as one.
template <class Body>
HWY_INLINE void for_runs(const Call &call, std::size_t width,
                         std::initializer_list<Operand> operands, Body body) {
  bool dense = true;
  for (const Operand &operand : operands) {
    dense = dense && (!operand || operand.stride == width);
  }
  if (dense) {
    body(call.begin, call.rows() * width);
    return;
  }
  for (std::size_t row = call.begin; row < call.end; ++row) {
    body(row, width);
  }
}

/// output 0 = f(inputs), element by element: f takes and gives a vector.
template <class F, std::size_t... kInputs>
HWY_INLINE void map_inputs(const Call &call, F f, std::index_sequence<kInputs...>) {
  const Operand out = output(call, 0);
  if (!out) {
    return;
  }
  for_runs(call, record_width(call.node->ins[0]), {out, call.ins[kInputs]...},
           [&](std::size_t record, std::size_t n) CALM_SIMD {
             float *const y = out.at(record);
             const float *const x[] = {call.ins[kInputs].template at<const float>(record)...};
             for_vectors(n, [&](std::size_t i, auto lanes) CALM_SIMD {
               lanes.store(f(lanes.load(x[kInputs] + i)...), y + i);
             });
           });
}

template <std::size_t kInputs, class F>
HWY_INLINE void map(const Call &call, F f) {
  map_inputs(call, f, std::make_index_sequence<kInputs>());
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
