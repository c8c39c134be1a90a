// loss = sum over rows with target >= 0 of logsumexp(logits[t]) - logits[t, target] (spec F); its
// gradient (softmax(logits[t]) - onehot(target)) grad, exactly 0 in rows that do not count. One
// warp a row. A target beyond the vocabulary is never followed: it makes the loss NaN.
#include <calm/ops/cross_entropy.h>

#include "cuda/kernels/device.cuh"

namespace calm::cuda {
namespace {

__global__ void __launch_bounds__(kThreads)
    loss_kernel(const float *__restrict__ logits, const std::int32_t *__restrict__ targets,
                int rows, int vocab, float *lse, double *partial) {
  __shared__ double losses[kWarps];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int t = static_cast<int>(blockIdx.x) * kWarps + warp;
  double loss = 0;
  if (t < rows) {
    const std::int32_t target = targets[t];
    float own = 0;
    if (target >= 0) {
      const float *const row =
          logits + static_cast<std::size_t>(t) * static_cast<std::size_t>(vocab);
      float top = row[0];
      for (int i = lane; i < vocab; i += kWarp) {
        top = fmaxf(top, row[i]);
      }
      top = warp_max(top);
      double sum = 0;
      for (int i = lane; i < vocab; i += kWarp) {
        sum += static_cast<double>(expf(row[i] - top));
      }
      sum = warp_sum(sum);
      const double log_sum = static_cast<double>(top) + ::log(sum);
      loss = target < vocab ? log_sum - static_cast<double>(row[target])
                            : static_cast<double>(__int_as_float(0x7fffffff));
      own = static_cast<float>(log_sum);
    }
    if (lane == 0 && lse != nullptr) {
      lse[t] = own;
    }
  }
  if (lane == 0) {
    losses[warp] = loss;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double sum = 0;
    for (int w = 0; w < kWarps; ++w) {
      sum += losses[w];
    }
    partial[blockIdx.x] = sum;
  }
}

__global__ void __launch_bounds__(kThreads)
    grad_kernel(const float *__restrict__ logits, const std::int32_t *__restrict__ targets,
                const float *__restrict__ lse, const float *__restrict__ grad, int rows, int vocab,
                float *__restrict__ out) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int t = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  if (t >= rows) {
    return;
  }
  const std::size_t at = static_cast<std::size_t>(t) * static_cast<std::size_t>(vocab);
  const std::int32_t target = targets[t];
  const float scale = *grad;
  const float own = lse[t];
  for (int i = lane; i < vocab; i += kWarp) {
    float value = 0;
    if (target >= 0) {
      value = expf(logits[at + static_cast<std::size_t>(i)] - own) * scale;
      value = i == target ? value - scale : value;
    }
    out[at + static_cast<std::size_t>(i)] = value;
  }
}

unsigned blocks_of_rows(int rows) { return blocks_of(static_cast<std::size_t>(rows), kWarps); }

}  // namespace

std::size_t cross_entropy_plan(const Node &node) {
  Scratch scratch;
  scratch.take<double>(blocks_of_rows(static_cast<int>(node.extent(0, 0))));
  return scratch.used();
}

void cross_entropy(const Launch &launch) {
  const int rows = launch.extent(CALM_CROSS_ENTROPY_LOGITS, 0);
  const unsigned blocks = blocks_of_rows(rows);
  auto *const partial = Scratch(launch.scratch()).take<double>(blocks);
  if (blocks > 0) {
    loss_kernel<<<blocks, kThreads, 0, launch.stream()>>>(
        launch.in<float>(CALM_CROSS_ENTROPY_LOGITS),
        launch.in<std::int32_t>(CALM_CROSS_ENTROPY_TARGETS), rows,
        launch.extent(CALM_CROSS_ENTROPY_LOGITS, 1), launch.out<float>(CALM_CROSS_ENTROPY_LSE),
        partial);
  }
  if (auto *const loss = launch.out<float>(CALM_CROSS_ENTROPY_LOSS)) {
    sum_partials(partial, static_cast<int>(blocks), loss, launch.stream());
  }
}

void cross_entropy_grad(const Launch &launch) {
  const int rows = launch.extent(CALM_CROSS_ENTROPY_LOGITS, 0);
  auto *const out = launch.out<float>(0);
  if (out != nullptr && rows > 0) {
    grad_kernel<<<blocks_of_rows(rows), kThreads, 0, launch.stream()>>>(
        launch.in<float>(CALM_CROSS_ENTROPY_LOGITS),
        launch.in<std::int32_t>(CALM_CROSS_ENTROPY_TARGETS),
        launch.in<float>(CALM_CROSS_ENTROPY_GRAD_LSE),
        launch.in<float>(CALM_CROSS_ENTROPY_GRAD_GRAD), rows,
        launch.extent(CALM_CROSS_ENTROPY_LOGITS, 1), out);
  }
}

}  // namespace calm::cuda
