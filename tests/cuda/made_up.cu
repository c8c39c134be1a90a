// Kernels for the tests of the emulator itself, some of them wrong.
#include "tests/cuda/made_up.hpp"

namespace calm::cuda_test {
namespace {

constexpr unsigned kAll = 0xffffffffU;

__global__ void reverse_kernel(const float *x, float *y) {
  extern __shared__ float tile[];
  const unsigned i = threadIdx.x;
  tile[i] = x[blockIdx.x * blockDim.x + i];
  __syncthreads();
  y[blockIdx.x * blockDim.x + i] = tile[blockDim.x - 1 - i];
}

template <int kStep, int kWidth>
__global__ void shuffle_kernel(int *result) {
  const int lane = static_cast<int>(threadIdx.x);
  int *const to = result + lane * 6;
  to[0] = __shfl_sync(kAll, lane, kStep, kWidth);
  to[1] = __shfl_xor_sync(kAll, lane, kStep, kWidth);
  to[2] = __shfl_up_sync(kAll, lane, kStep, kWidth);
  to[3] = __shfl_down_sync(kAll, lane, kStep, kWidth);
  to[4] = static_cast<int>(__ballot_sync(kAll, lane % kStep == 0));
  if (lane < kStep) {
    to[5] = __any_sync((1U << kStep) - 1, lane == 0) + 2 * __all_sync((1U << kStep) - 1, lane == 0);
  }
}

__global__ void part_kernel() {
  if (threadIdx.x < 40) {
    __syncthreads();
  } else {
    __syncwarp();
    __syncthreads();
  }
}

__global__ void ended_kernel(int *result) {
  if (threadIdx.x == 5) {
    return;
  }
  result[threadIdx.x] = __shfl_xor_sync(kAll, 1, 1);
}

__global__ void unwritten_kernel(float *y) {
  __shared__ float once[32], never[32];
  once[threadIdx.x] = 1;
  y[threadIdx.x] = once[threadIdx.x] + (blockIdx.x == 0 ? 0 : never[threadIdx.x]);
  never[threadIdx.x] = 0;
}

__global__ void add_kernel(float *x, float by, float times) { *x = (*x + by) * times; }

}  // namespace

void reverse(const float *x, float *y, unsigned blocks, unsigned threads) {
  reverse_kernel<<<blocks, threads, threads * sizeof(float)>>>(x, y);
}
void shuffle(int *result) { shuffle_kernel<4, 8><<<1, 32>>>(result); }
void meet_in_part() { part_kernel<<<dim3(1, 1), 64>>>(); }
void outlive(int *result) { ended_kernel<<<1, 32>>>(result); }
void read_unwritten(float *y) { unwritten_kernel<<<2, 32>>>(y); }
void too_many_threads() { part_kernel<<<1, 1025>>>(); }
void add(float *x, float by, float times, cudaStream_t stream) {
  add_kernel<<<1, 1, 0, stream>>>(x, by, times);
}

}  // namespace calm::cuda_test
