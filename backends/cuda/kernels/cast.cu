// x as another dtype; fill: one number everywhere. To bf16: to nearest, ties to even.
#include <calm/ops/cast.h>
#include <calm/ops/columns.h>

#include <cuda_bf16.h>

#include "cuda/kernels/device.cuh"

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

}  // namespace

void cast(const Launch &launch) {
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
