// x as another dtype; fill: one number everywhere. To bf16: to nearest, ties to even.
#include <calm/ops/cast.h>
#include <calm/ops/columns.h>

#include <cuda_bf16.h>

#include "cuda/kernels/device.cuh"
#include "cuda/kernels/joined.cuh"

namespace calm::cuda {
namespace {

template <class From>
__device__ double wide_of(From x) {
  return static_cast<double>(x);
}
template <>
__device__ double wide_of(__nv_bfloat16 x) {
  return static_cast<double>(__bfloat162float(x));
}

template <class To, class From>
__device__ To narrow(From x) {
  return static_cast<To>(wide_of(x));
}
template <class From>
__device__ __nv_bfloat16 to_bf16(From x) {
  // The hardware's NaN is another one; NaN stays NaN either way.
  return __float2bfloat16_rn(static_cast<float>(wide_of(x)));
}

template <class To, class From>
__global__ void __launch_bounds__(kThreads) convert_kernel(const From *x, To *y, int n) {
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (i < n) {
    if constexpr (sizeof(To) == sizeof(__nv_bfloat16)) {
      y[i] = to_bf16(x[i]);
    } else {
      y[i] = narrow<To>(x[i]);
    }
  }
}

template <class To, class From>
void convert(const Launch &launch) {
  const std::size_t n = count(launch.node().ins[0]);
  if (n > 0) {
    convert_kernel<To, From><<<blocks_of(n, kThreads), kThreads, 0, launch.stream()>>>(
        launch.in<From>(0), launch.out<To>(0), static_cast<int>(n));
  }
}

template <class From>
void convert_from(const Launch &launch) {
  switch (launch.node().outs[0].dtype) {
    case CALM_F32:
      return convert<float, From>(launch);
    case CALM_F64:
      return convert<double, From>(launch);
    default:
      return convert<__nv_bfloat16, From>(launch);
  }
}

constexpr int kMost = 96;     // tensors of a launch: their list is an argument of at most 4 KB
constexpr int kBlock = 1024;  // elements of a block

struct Casts {
  const float *x[kMost];
  __nv_bfloat16 *y[kMost];
  int n[kMost];
  int all[kMost];  // of y: zeros behind n
  int first_block[kMost + 1];
  int count;
};

__global__ void __launch_bounds__(kThreads) casts_kernel(const __grid_constant__ Casts casts) {
  const auto block = static_cast<int>(blockIdx.x);
  const int own = tensor_of_block(casts.first_block, casts.count, block);
  const int begin = (block - casts.first_block[own]) * kBlock + static_cast<int>(threadIdx.x);
#pragma unroll
  for (int k = 0; k < kBlock / kThreads; ++k) {
    const int i = begin + k * kThreads;
    if (i < casts.all[own]) {
      casts.y[own][i] = __float2bfloat16_rn(i < casts.n[own] ? casts.x[own][i] : 0);
    }
  }
}

void flush(Casts &casts, cudaStream_t stream) {
  if (casts.first_block[casts.count] > 0) {
    casts_kernel<<<static_cast<unsigned>(casts.first_block[casts.count]), kThreads, 0, stream>>>(
        casts);
  }
  casts = {};
}

template <class T>
__global__ void __launch_bounds__(kThreads) fill_kernel(T *y, int n, T value) {
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (i < n) {
    y[i] = value;
  }
}

template <class T>
void fill_with(const Launch &launch) {
  const std::size_t n = count(launch.node().ins[0]);
  if (n > 0) {
    fill_kernel<T><<<blocks_of(n, kThreads), kThreads, 0, launch.stream()>>>(
        launch.out<T>(0), static_cast<int>(n), static_cast<T>(launch.f64(CALM_FILL_VALUE)));
  }
}

void cast_one(const Launch &launch) {
  if (launch.out<void>(0) == nullptr) {
    return;
  }
  switch (launch.node().ins[0].dtype) {
    case CALM_F32:
      return convert_from<float>(launch);
    case CALM_F64:
      return convert_from<double>(launch);
    case CALM_BF16:
      return convert_from<__nv_bfloat16>(launch);
    default:
      return convert_from<std::int32_t>(launch);
  }
}

}  // namespace

/// Weights to bf16 one after another: in one launch.
void cast_joined(const Launch *launches, std::size_t n) {
  Casts casts{};
  for (std::size_t i = 0; i < n; ++i) {
    const Node &node = launches[i].node();
    const bool other = node.ins[0].dtype != CALM_F32 || node.outs[0].dtype != CALM_BF16;
    if (other || casts.count == kMost) {
      flush(casts, launches[i].stream());
    }
    if (other) {
      cast_one(launches[i]);
      continue;
    }
    const int k = casts.count++;
    casts.x[k] = launches[i].in<float>(0);
    casts.y[k] = launches[i].out<__nv_bfloat16>(0);
    casts.n[k] = static_cast<int>(count(node.ins[0]));
    casts.all[k] = casts.y[k] == nullptr ? 0 : static_cast<int>(count(node.outs[0]));
    casts.first_block[k + 1] = casts.first_block[k] + div_up(casts.all[k], kBlock);
  }
  flush(casts, launches->stream());
}

void cast(const Launch &launch) { cast_one(launch); }

void fill(const Launch &launch) {
  if (launch.out<void>(0) == nullptr) {
    return;
  }
  switch (launch.node().ins[0].dtype) {
    case CALM_F32:
      return fill_with<float>(launch);
    case CALM_F64:
      return fill_with<double>(launch);
    default:
      return fill_with<std::int32_t>(launch);
  }
}

}  // namespace calm::cuda
