// What kernels share on the device: sums in a fixed order, functions of one number, launch sizes.
//
// Every sum has one order whatever the card does in parallel: lanes by a butterfly of shuffles,
// warps one after another, blocks by the last of them or in a second launch. No atomics on real
// numbers.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "cuda/kernel.hpp"

namespace calm::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAll = 0xffffffffU;
inline constexpr int kThreads = 256;  // of a block, where nothing asks for another number
inline constexpr int kWarps = kThreads / kWarp;

/// As many blocks as `n` things need, `per` each.
inline unsigned blocks_of(std::size_t n, std::size_t per) {
  return static_cast<unsigned>(div_up(n, per));
}

template <class T>
__device__ inline T warp_sum(T value) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    value += __shfl_xor_sync(kAll, value, step);
  }
  return value;
}

__device__ inline float warp_max(float value) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAll, value, step));
  }
  return value;
}

/// The sum over a block of kThreads threads, for all of them.
__device__ inline double block_sum(double value) {
  __shared__ double warps[kWarps];
  value = warp_sum(value);
  if (threadIdx.x % kWarp == 0) {
    warps[threadIdx.x / kWarp] = value;
  }
  __syncthreads();
  double sum = 0;
#pragma unroll
  for (int i = 0; i < kWarps; ++i) {
    sum += warps[i];
  }
  __syncthreads();  // before the next use of `warps`
  return sum;
}

/// What blocks of kThreads threads leave of one sum, at most gridDim.x of them.
struct Parts {
  double *of;         // by block
  unsigned *counter;  // Launch::counter
};

/// Leaves a block's part, which its first thread has. For the block that comes last, true and the
/// sum of all, for each of its threads: thread by thread every kThreads-th, then as block_sum.
__device__ inline bool sum_of_blocks(const Parts &parts, double part, double &sum) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    parts.of[blockIdx.x] = part;
    __threadfence();  // the part before the count
    last = atomicAdd(parts.counter, 1U) == gridDim.x - 1;
    if (last) {
      *parts.counter = 0;
      __threadfence();  // the count before other blocks' parts
    }
  }
  __syncthreads();
  if (!last) {
    return false;
  }
  double own = 0;
#pragma unroll 8
  for (int i = static_cast<int>(threadIdx.x); i < static_cast<int>(gridDim.x); i += kThreads) {
    own += __ldcg(parts.of + i);  // where they were written, not an old line of this processor's
  }
  sum = block_sum(own);
  return true;
}

/// sigmoid(x) and 1 - sigmoid(x), from e^-|x| so that neither tail loses digits.
struct Sigmoid {
  float value, rest;
};
__device__ inline Sigmoid sigmoid_pair(float x) {
  const float e = expf(x < 0 ? x : -x);
  const float big = 1 / (1 + e);
  const float small = e * big;
  return {x < 0 ? small : big, x < 0 ? big : small};
}

/// x, but never -infinity, so that x * 0 = 0 there; NaN stays NaN.
__device__ inline float bounded_below(float x) {
#ifdef __CUDACC__
  float y;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(x), "f"(-3.402823466e38F));
  return y;
#else  // tests/cuda
  return x < -3.402823466e38F ? -3.402823466e38F : x;
#endif
}
__device__ inline float bounded(float x) {
  x = bounded_below(x);
#ifdef __CUDACC__
  float y;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(x), "f"(3.402823466e38F));
  return y;
#else
  return x > 3.402823466e38F ? 3.402823466e38F : x;
#endif
}

/// x sigmoid(x) and its derivative sigmoid(x) (1 + x (1 - sigmoid(x))).
__device__ inline float silu_of(float x) { return bounded_below(x) * sigmoid_pair(x).value; }
__device__ inline float silu_slope(float x) {
  const Sigmoid s = sigmoid_pair(x);
  return s.value * (1 + bounded(x) * s.rest);
}

__device__ inline float softplus_of(float x) {
  return (x > 0 ? x : 0) + log1pf(expf(x < 0 ? x : -x));
}
__device__ inline float softplus_slope(float x) { return x > 20 ? 1.0F : sigmoid_pair(x).value; }

/// gelu(x) = x sigmoid(2 u), 2 u = 2 sqrt(2/pi) (x + 0.044715 x^3), and its derivative.
__device__ inline float gelu_of(float x) {
  return bounded_below(x) * sigmoid_pair(1.59576912F * (x + 0.044715F * x * x * x)).value;
}
__device__ inline float gelu_slope(float x) {
  x = x < -64 ? -64.0F : x;  // from there on it is 0 or 1 to the last bit
  x = x > 64 ? 64.0F : x;
  const Sigmoid s = sigmoid_pair(1.59576912F * (x + 0.044715F * x * x * x));
  return s.value + x * s.value * s.rest * (1.59576912F * (1 + 0.134145F * x * x));
}

/// 2^x by the special function unit: 2 units in the last place, results below the smallest normal
/// number are 0.
__device__ inline float exp2_fast(float x) {
#ifdef __CUDACC__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else  // tests/cuda
  const float y = ::exp2f(x);
  return y < 1.17549435e-38F ? 0 : y;
#endif
}
inline constexpr float kLog2e = 1.44269504F;

/// 1 / x within 1 unit in the last place; 0 for infinity.
__device__ inline float reciprocal_fast(float x) {
#ifdef __CUDACC__
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return 1 / x;
#endif
}

/// 1 / (1 + e^-x), to 1e-6 of itself where it is not tiny.
__device__ inline float sigmoid_fast(float x) {
  return reciprocal_fast(1 + exp2_fast(-kLog2e * x));
}

/// gelu_slope, to 1e-6 of what it is the difference of.
__device__ inline float gelu_slope_fast(float x) {
  x = x < -64 ? -64.0F : x;
  x = x > 64 ? 64.0F : x;
  const float s = sigmoid_fast(1.59576912F * (x + 0.044715F * x * x * x));
  return s + x * s * (1 - s) * (1.59576912F * (1 + 0.134145F * x * x));
}

/// Of `blocks` blocks, of which there is at least one: there is a sum of nothing too.
inline unsigned blocks_of_sum(std::size_t blocks) {
  return static_cast<unsigned>(blocks == 0 ? 1 : blocks);
}
inline std::size_t parts_bytes(std::size_t blocks) {
  Scratch scratch;
  scratch.take<double>(blocks_of_sum(blocks));
  return scratch.used();
}
inline Parts parts_of(const Launch &launch) {
  return {Scratch(launch.scratch()).take<double>(1), launch.counter()};
}

/// Sums over the rows of x [rows, columns], in double: eight running sums over rows of one column
/// each, added in order. The first `split` sums go to `first`, the others to `second` (null:
/// nowhere).
void sum_columns(const float *x, int rows, int columns, float *first, int split, float *second,
                 cudaStream_t stream);

}  // namespace calm::cuda
