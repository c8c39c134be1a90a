// loss = sum over rows with target >= 0 of logsumexp(logits[t]) - logits[t, target] (spec F); its
// gradient (softmax(logits[t]) - onehot(target)) grad, exactly 0 in rows that do not count. One
// warp a row. A target beyond the vocabulary is never followed: it makes the loss NaN.
#include <calm/ops/cross_entropy.h>

#include "cuda/kernels/act.cuh"

namespace calm::cuda {
namespace {

constexpr int kUsualEach = 10;  // logits of a lane: 320, as all presets have

/// (softmax - onehot(target)) factor of one logit.
__device__ float slope_of(float logit, float lse, float factor, int i, std::int32_t target) {
  if (target < 0) {
    return 0;
  }
  const float value = expf(logit - lse) * factor;
  return i == target ? value - factor : value;
}

struct Operands {
  const float *logits;
  const std::int32_t *targets;
  const float *factor;  // of the gradient
  int rows, vocab;
  float *lse;   // or null
  float *loss;  // or null
  Parts parts;  // a block's sum of losses
};

/// A row of logits, of which each lane has every 32nd: kEach in registers, or with 0 any number,
/// read again each time.
template <int kEach>
struct Logits {
  const float *row;
  int lane;
  float own[kEach];

  __device__ Logits(const float *from, int /*n*/)
      : row(from), lane(static_cast<int>(threadIdx.x) % kWarp) {
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      own[k] = row[lane + k * kWarp];
    }
  }
  /// f(i, logit) for each of the lane's.
  template <class F>
  __device__ void each(const F &f) const {
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      f(lane + k * kWarp, own[k]);
    }
  }
};
template <>
struct Logits<0> {
  const float *row;
  int vocab;
  __device__ Logits(const float *from, int n) : row(from), vocab(n) {}
  template <class F>
  __device__ void each(const F &f) const {
    for (int i = static_cast<int>(threadIdx.x) % kWarp; i < vocab; i += kWarp) {
      f(i, row[i]);
    }
  }
};

/// `grad`: of the logits, or null.
template <int kEach, class T>
__global__ void __launch_bounds__(kThreads) loss_kernel(Operands o, T *grad) {
  __shared__ double losses[kWarps];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int t = static_cast<int>(blockIdx.x) * kWarps + warp;
  double loss = 0;
  if (t < o.rows) {
    const std::int32_t target = o.targets[t];
    const std::size_t at = static_cast<std::size_t>(t) * static_cast<std::size_t>(o.vocab);
    const Logits<kEach> row(o.logits + at, o.vocab);
    float own = 0;
    if (target >= 0) {
      float top = o.logits[at];
      row.each([&](int /*i*/, float logit) { top = fmaxf(top, logit); });
      top = warp_max(top);
      double sum = 0;
      row.each([&](int /*i*/, float logit) { sum += static_cast<double>(expf(logit - top)); });
      sum = warp_sum(sum);
      const double log_sum = static_cast<double>(top) + ::log(sum);
      loss = target < o.vocab ? log_sum - static_cast<double>(row.row[target])
                              : static_cast<double>(__int_as_float(0x7fffffff));
      own = static_cast<float>(log_sum);
    }
    if (lane == 0 && o.lse != nullptr) {
      o.lse[t] = own;
    }
    if (grad != nullptr) {
      const float factor = *o.factor;
      row.each([&](int i, float logit) {
        grad[at + static_cast<std::size_t>(i)] =
            narrow_to<T>(slope_of(logit, own, factor, i, target));
      });
    }
  }
  if (lane == 0) {
    losses[warp] = loss;
  }
  __syncthreads();
  double sum = 0;
  for (int w = 0; w < kWarps; ++w) {
    sum += losses[w];
  }
  if (sum_of_blocks(o.parts, sum, sum) && threadIdx.x == 0 && o.loss != nullptr) {
    *o.loss = static_cast<float>(sum);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    grad_kernel(const float *__restrict__ logits, const std::int32_t *__restrict__ targets,
                const float *__restrict__ lse, const float *__restrict__ grad, int rows, int vocab,
                T *__restrict__ out) {
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
    const std::size_t cell = at + static_cast<std::size_t>(i);
    out[cell] = narrow_to<T>(slope_of(logits[cell], own, scale, i, target));
  }
}

unsigned blocks_of_rows(int rows) { return blocks_of(static_cast<std::size_t>(rows), kWarps); }

template <class T>
void run(const Launch &launch, Operands o, T *grad) {
  o.logits = launch.in<float>(CALM_CROSS_ENTROPY_LOGITS);
  o.targets = launch.in<std::int32_t>(CALM_CROSS_ENTROPY_TARGETS);
  o.rows = launch.extent(CALM_CROSS_ENTROPY_LOGITS, 0);
  o.vocab = launch.extent(CALM_CROSS_ENTROPY_LOGITS, 1);
  o.parts = parts_of(launch);
  const auto start = [&](auto *kernel) {
    kernel<<<blocks_of_sum(blocks_of_rows(o.rows)), kThreads, 0, launch.stream()>>>(o, grad);
  };
  if (o.vocab == kUsualEach * kWarp) {
    start(loss_kernel<kUsualEach, T>);
  } else {
    start(loss_kernel<0, T>);
  }
}

}  // namespace

std::size_t cross_entropy_plan(const Node &node) {
  return parts_bytes(blocks_of_rows(static_cast<int>(node.extent(0, 0))));
}

std::size_t loss_plan(const Node &node) { return cross_entropy_plan(node); }

void cross_entropy(const Launch &launch) {
  Operands o{};
  o.lse = launch.out<float>(CALM_CROSS_ENTROPY_LSE);
  o.loss = launch.out<float>(CALM_CROSS_ENTROPY_LOSS);
  run<float>(launch, o, nullptr);
}

void loss(const Launch &launch) {
  Operands o{};
  o.factor = launch.in<float>(2);
  o.loss = launch.out<float>(0);
  with_act(launch.node().outs[1].dtype, [&]<class T>() { run<T>(launch, o, launch.out<T>(1)); });
}

void cross_entropy_grad(const Launch &launch) {
  const int rows = launch.extent(CALM_CROSS_ENTROPY_LOGITS, 0);
  if (launch.out<void>(0) == nullptr || rows == 0) {
    return;
  }
  with_act(launch.node().outs[0].dtype, [&]<class T>() {
    grad_kernel<T><<<blocks_of_rows(rows), kThreads, 0, launch.stream()>>>(
        launch.in<float>(CALM_CROSS_ENTROPY_LOGITS),
        launch.in<std::int32_t>(CALM_CROSS_ENTROPY_TARGETS),
        launch.in<float>(CALM_CROSS_ENTROPY_GRAD_LSE),
        launch.in<float>(CALM_CROSS_ENTROPY_GRAD_GRAD), rows,
        launch.extent(CALM_CROSS_ENTROPY_LOGITS, 1), launch.out<T>(0));
  });
}

}  // namespace calm::cuda
