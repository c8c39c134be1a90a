// out = sum + value; the first micro-batch selects the value, never multiplies by 0: what lies in
// the sum then may be anything. The gradients of all parameters follow each other and are small, so
// many of them go in one launch.
#include <calm/ops/optimizer.h>

#include "cuda/kernels/device.cuh"
#include "cuda/kernels/joined.cuh"

namespace calm::cuda {
namespace {

constexpr int kMost = 64;     // tensors of a launch: their list is an argument of at most 4 KB
constexpr int kBlock = 1024;  // elements of a block
constexpr int kEach = kBlock / kThreads;

struct Tensors {
  const float *sum[kMost], *value[kMost];
  float *out[kMost];
  int n[kMost];
  int first_block[kMost + 1];
  int count;
  const std::int32_t *first;
};

__global__ void __launch_bounds__(kThreads)
    accumulate_kernel(const __grid_constant__ Tensors tensors) {
  const auto block = static_cast<int>(blockIdx.x);
  const int own = tensor_of_block(tensors.first_block, tensors.count, block);
  const float *const sum = tensors.sum[own];
  const float *const value = tensors.value[own];
  float *const out = tensors.out[own];
  const int n = tensors.n[own];
  const bool first = *tensors.first != 0;
  const int begin = (block - tensors.first_block[own]) * kBlock + static_cast<int>(threadIdx.x);
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    const int i = begin + k * kThreads;
    if (i < n) {
      out[i] = first ? value[i] : sum[i] + value[i];
    }
  }
}

bool overlap(const float *a, int na, const float *b, int nb) { return a < b + nb && b < a + na; }

/// Whether a node reads what one of the list writes, or writes what one of it reads or writes.
bool depends(const Tensors &list, const float *sum, const float *value, const float *out, int n) {
  for (int i = 0; i < list.count; ++i) {
    if (overlap(list.out[i], list.n[i], value, n) || overlap(list.out[i], list.n[i], sum, n) ||
        overlap(list.out[i], list.n[i], out, n) || overlap(list.value[i], list.n[i], out, n) ||
        overlap(list.sum[i], list.n[i], out, n)) {
      return true;
    }
  }
  return false;
}

void flush(Tensors &list, cudaStream_t stream) {
  const int blocks = list.first_block[list.count];
  if (blocks > 0) {
    accumulate_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(list);
  }
  list = {};
}

}  // namespace

void accumulate_joined(const Launch *launches, std::size_t n) {
  Tensors list{};
  for (std::size_t k = 0; k < n; ++k) {
    const Launch &launch = launches[k];
    const auto *const sum = launch.in<float>(CALM_ACCUMULATE_SUM);
    const auto *const value = launch.in<float>(CALM_ACCUMULATE_VALUE);
    const auto *const first = launch.in<std::int32_t>(CALM_ACCUMULATE_FIRST);
    auto *const out = launch.out<float>(0);
    const int elements = static_cast<int>(count(launch.node().ins[0]));
    if (out == nullptr) {
      continue;
    }
    if (list.count == kMost || (list.count > 0 && list.first != first) ||
        depends(list, sum, value, out, elements)) {
      flush(list, launch.stream());
    }
    const int i = list.count++;
    list.first = first;
    list.sum[i] = sum;
    list.value[i] = value;
    list.out[i] = out;
    list.n[i] = elements;
    list.first_block[i + 1] = list.first_block[i] + div_up(elements, kBlock);
  }
  flush(list, launches->stream());
}

void accumulate(const Launch &launch) { accumulate_joined(&launch, 1); }

}  // namespace calm::cuda
