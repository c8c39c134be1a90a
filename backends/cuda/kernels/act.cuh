// Activations in memory: f32 or bf16, numbers in fp32 once loaded.
#pragma once

#include <calm/tensor.h>

#include <cuda_bf16.h>

#include <cstring>
#include <type_traits>

#include "cuda/kernels/device.cuh"

namespace calm::cuda {

using Bf16 = __nv_bfloat16;

__device__ inline float widen(float x) { return x; }
__device__ inline float widen(Bf16 x) { return __bfloat162float(x); }

__device__ inline float2 widen(float2 x) { return x; }
__device__ inline float2 widen(__nv_bfloat162 x) { return __bfloat1622float2(x); }

template <class T>
__device__ inline T narrow_to(float x) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return x;
  } else {
    return __float2bfloat16_rn(x);
  }
}

__device__ inline void store_act(float *to, float x) { *to = x; }
__device__ inline void store_act(Bf16 *to, float x) { *to = __float2bfloat16_rn(x); }
__device__ inline void store_act(float2 *to, float2 x) { *to = x; }
__device__ inline void store_act(__nv_bfloat162 *to, float2 x) { *to = __float22bfloat162_rn(x); }

/// 16 bytes at once, both ends of which are aligned so.
__device__ inline void copy_16(void *to, const void *from) {
  std::memcpy(__builtin_assume_aligned(to, 16), __builtin_assume_aligned(from, 16), 16);
}

/// Two activations side by side.
template <class T>
struct ActPair;
template <>
struct ActPair<float> {
  using Type = float2;
};
template <>
struct ActPair<Bf16> {
  using Type = __nv_bfloat162;
};

template <class Pair>
__device__ inline Pair narrow_pair(float x, float y) {
  if constexpr (std::is_same_v<Pair, float2>) {
    return make_float2(x, y);
  } else {
    return __floats2bfloat162_rn(x, y);
  }
}

/// body.operator()<T>() with the type that activations of this dtype are stored in.
template <class Body>
void with_act(calm_dtype dtype, Body &&body) {
  if (dtype == CALM_BF16) {
    body.template operator()<Bf16>();
  } else {
    body.template operator()<float>();
  }
}

}  // namespace calm::cuda
