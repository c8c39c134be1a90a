// What nvcc knows in a kernel without a header, as far as our kernels use it.
#pragma once

#include <cuda_runtime_api.h>
#include <math.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "tests/cuda/emulator/block.hpp"

#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __grid_constant__
#define __grid_constant__

#define threadIdx (calm_emulated::current->index)
#define blockIdx (calm_emulated::block_index)
#define blockDim (calm_emulated::running.block)
#define gridDim (calm_emulated::running.grid)

// The C library declares functions of these names and has none.
#define __expf(x) ::expf(x)
#define __logf(x) ::logf(x)
#define __log2f(x) ::log2f(x)
#define __sinf(x) ::sinf(x)
#define __cosf(x) ::cosf(x)
#define __powf(x, y) ::powf(x, y)
#define __exp10f(x) ::exp10f(x)

namespace calm_emulated {

// Where a thread meets others: the caller's file and line, as default arguments.
#define CALM_EMULATED_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

/// A number of 1 to 8 bytes as 8 and back.
template <class T>
std::uint64_t packed(T value) {
  static_assert(sizeof value <= sizeof(std::uint64_t));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}
template <class T>
T unpacked(std::uint64_t bits) {
  T value;
  std::memcpy(static_cast<void *>(&value), &bits, sizeof value);
  return value;
}

/// The value of lane `source` of the own segment of `width` lanes, where it is one of them.
template <class T>
T shuffle(unsigned mask, T value, int source, int width, Place place) {
  const int lane = static_cast<int>(current->number % kLanes);
  const int begin = lane & ~(width - 1);
  const bool inside = source >= begin && source < begin + width;
  return unpacked<T>(meet_warp(mask, packed(value), inside ? source : lane, place));
}
inline int lane() { return static_cast<int>(current->number % kLanes); }

}  // namespace calm_emulated

inline void __syncthreads(CALM_EMULATED_HERE) { calm_emulated::meet_block({file, line}); }
inline void __syncwarp(unsigned mask = 0xffffffffU, CALM_EMULATED_HERE) {
  calm_emulated::meet_warp(mask, 0, calm_emulated::kVotes, {file, line});
}
inline unsigned __ballot_sync(unsigned mask, int vote, CALM_EMULATED_HERE) {
  return static_cast<unsigned>(
      calm_emulated::meet_warp(mask, vote != 0 ? 1 : 0, calm_emulated::kVotes, {file, line}));
}
inline int __any_sync(unsigned mask, int vote, CALM_EMULATED_HERE) {
  return __ballot_sync(mask, vote, file, line) != 0 ? 1 : 0;
}
inline int __all_sync(unsigned mask, int vote, CALM_EMULATED_HERE) {
  return __ballot_sync(mask, vote == 0 ? 1 : 0, file, line) == 0 ? 1 : 0;
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, CALM_EMULATED_HERE) {
  const int begin = calm_emulated::lane() & ~(width - 1);
  return calm_emulated::shuffle(mask, value, begin + (source & (width - 1)), width, {file, line});
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, CALM_EMULATED_HERE) {
  // Of a segment before the own one too.
  const int source = calm_emulated::lane() ^ bits;
  const int end = (calm_emulated::lane() & ~(width - 1)) + width;
  return calm_emulated::unpacked<T>(
      calm_emulated::meet_warp(mask, calm_emulated::packed(value),
                               source < end ? source : calm_emulated::lane(), {file, line}));
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, CALM_EMULATED_HERE) {
  const int source = calm_emulated::lane() - static_cast<int>(by);
  return calm_emulated::shuffle(mask, value, source, width, {file, line});
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, CALM_EMULATED_HERE) {
  const int source = calm_emulated::lane() + static_cast<int>(by);
  return calm_emulated::shuffle(mask, value, source, width, {file, line});
}

inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(std::uint64_t x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline unsigned __brev(unsigned x) {
  unsigned y = 0;
  for (unsigned i = 0; i < 32; ++i) {
    y |= (x >> i & 1U) << (31 - i);
  }
  return y;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(std::uint64_t{a} * b >> 32);
}
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1 / a; }
inline float __fmaf_rn(float a, float b, float c) { return ::fmaf(a, b, c); }
inline float __saturatef(float a) { return a > 0 ? (a < 1 ? a : 1.0F) : 0.0F; }
inline float rsqrtf(float a) { return 1 / ::sqrtf(a); }
inline double rsqrt(double a) { return 1 / ::sqrt(a); }
inline void sincospi(double x, double *sine, double *cosine) {
  // Exact quarters, as the device has them.
  const double part = x - 2 * ::floor(x / 2);
  const double quarter = ::nearbyint(part * 2);
  const double angle = (part - quarter / 2) * 3.14159265358979323846;
  const double s = ::sin(angle);
  const double c = ::cos(angle);
  const int turn = static_cast<int>(quarter) % 4;
  *sine = turn == 0 ? s : turn == 1 ? c : turn == 2 ? -s : -c;
  *cosine = turn == 0 ? c : turn == 1 ? -s : turn == 2 ? -c : s;
}

// Of every pair of types that C would bring to one.
template <class A, class B>
constexpr auto min(A a, B b) -> decltype(a + b) {
  return b < a ? b : a;
}
template <class A, class B>
constexpr auto max(A a, B b) -> decltype(a + b) {
  return a < b ? b : a;
}
using std::isfinite;
using std::isinf;
using std::isnan;

template <class T>
T __ldg(const T *from) {
  return *from;
}
template <class T>
T __ldcs(const T *from) {
  return *from;
}
template <class T>
T __ldcg(const T *from) {
  return *from;
}
template <class T>
void __stcs(T *to, T value) {
  *to = value;
}
template <class T>
void __stcg(T *to, T value) {
  *to = value;
}

// One thread runs at a time.
template <class T>
T atomicExch(T *at, T value) {
  return std::exchange(*at, value);
}
template <class T>
T atomicAdd(T *at, T value) {
  return std::exchange(*at, static_cast<T>(*at + value));
}
template <class T>
T atomicMax(T *at, T value) {
  return std::exchange(*at, std::max(*at, value));
}
template <class T>
T atomicMin(T *at, T value) {
  return std::exchange(*at, std::min(*at, value));
}
template <class T>
T atomicOr(T *at, T value) {
  return std::exchange(*at, *at | value);
}
template <class T>
T atomicCAS(T *at, T expected, T value) {
  return std::exchange(*at, *at == expected ? value : *at);
}
inline void __threadfence() {}
inline void __threadfence_block() {}

#undef CALM_EMULATED_HERE
