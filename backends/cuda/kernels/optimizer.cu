// global_norm, guard, adamw, record (calm/ops/optimizer.h has the equations; AdamW is Loshchilov &
// Hutter, arXiv 1711.05101, algorithm 2); ewc_penalty, fisher (calm/ops/ewc.h; spec J).
#include <calm/ops/ewc.h>
#include <calm/ops/optimizer.h>

#include <algorithm>

#include "cuda/error.hpp"
#include "cuda/fused.hpp"
#include "cuda/kernels/device.cuh"

namespace calm::cuda {
namespace {

constexpr int kBlock = 4096;  // elements one block adds up
constexpr int kPerThread = kBlock / kThreads;
constexpr int kMostTensors = 8;

/// The tensors of a norm, as blocks of one list.
struct Tensors {
  const float *x[kMostTensors];
  int n[kMostTensors];
  int first_block[kMostTensors + 1];
  int count = 0;
};

/// Where the norm goes and, if a guard follows at once, what that reads and writes; null: nowhere.
struct Verdict {
  float *norm, *coefficient;
  std::int32_t *ok;
  double max_norm;
  const std::int32_t *bad;
  std::int32_t *go, *out_bad;
};

__device__ void guard(bool ok, std::int32_t bad, std::int32_t *go, std::int32_t *out_bad) {
  const bool stuck = bad >= CALM_GUARD_LIMIT;
  if (go != nullptr) {
    *go = ok && !stuck ? 1 : 0;
  }
  if (out_bad != nullptr) {
    *out_bad = stuck ? bad : ok ? 0 : bad + 1;
  }
}

__device__ void judge(const Verdict &o, double squares) {
  const float norm = static_cast<float>(::sqrt(squares));
  const bool ok = isfinite(norm);
  if (o.norm != nullptr) {
    *o.norm = norm;
  }
  if (o.coefficient != nullptr) {
    const double c = o.max_norm / (static_cast<double>(norm) + 1e-6);
    *o.coefficient = c < 1 ? static_cast<float>(c) : 1.0F;
  }
  if (o.ok != nullptr) {
    *o.ok = ok ? 1 : 0;
  }
  if (o.bad != nullptr) {
    guard(ok, *o.bad, o.go, o.out_bad);
  }
}

__global__ void __launch_bounds__(kThreads)
    norm_kernel(const __grid_constant__ Tensors tensors, Parts parts, Verdict verdict) {
  int k = 0;
  while (k + 1 < tensors.count && static_cast<int>(blockIdx.x) >= tensors.first_block[k + 1]) {
    ++k;
  }
  const float *const x = tensors.x[k];
  const int first = (static_cast<int>(blockIdx.x) - tensors.first_block[k]) * kBlock;
  double sum = 0;
#pragma unroll
  for (int j = 0; j < kPerThread; ++j) {
    const int i = first + j * kThreads + static_cast<int>(threadIdx.x);
    const double g = i < tensors.n[k] ? static_cast<double>(x[i]) : 0.0;
    sum += g * g;
  }
  sum = block_sum(sum);
  if (sum_of_blocks(parts, sum, sum) && threadIdx.x == 0) {
    judge(verdict, sum);
  }
}

__global__ void guard_kernel(const std::int32_t *ok, const std::int32_t *bad, std::int32_t *go,
                             std::int32_t *out_bad) {
  guard(*ok != 0, *bad, go, out_bad);
}

struct AdamW {
  const float *param, *grad, *m, *v;
  const float *coefficient, *lr, *bias1, *bias2;
  const std::int32_t *go;
  float *out_param, *out_m, *out_v;
  double beta1, beta2, weight_decay;
  float eps;
  int n;
};

constexpr int kUpdates = 4;  // parameters a thread
constexpr int kMostGroups = 8;

/// The decayed and the other parameters, one after the other.
struct Groups {
  AdamW of[kMostGroups];
  int first_block[kMostGroups + 1];
  int count;
};

__global__ void __launch_bounds__(kThreads) adamw_kernel(const __grid_constant__ Groups groups) {
  int group = 0;
  while (static_cast<int>(blockIdx.x) >= groups.first_block[group + 1]) {
    ++group;
  }
  const AdamW &o = groups.of[group];
  // Numbers of the whole step, computed in double, once a block.
  __shared__ float keep, step, root_bias2;
  if (threadIdx.x == 0) {
    const double lr = static_cast<double>(*o.lr);
    keep = static_cast<float>(1 - lr * o.weight_decay);
    step = static_cast<float>(lr / static_cast<double>(*o.bias1));
    root_bias2 = static_cast<float>(::sqrt(static_cast<double>(*o.bias2)));
  }
  __syncthreads();
  const bool go = *o.go != 0;
  const float coefficient = *o.coefficient;
  const float clip = coefficient < 1 ? coefficient : 1.0F;
  const float keep_m = static_cast<float>(o.beta1);
  const float take_m = static_cast<float>(1 - o.beta1);
  const float keep_v = static_cast<float>(o.beta2);
  const float take_v = static_cast<float>(1 - o.beta2);
  const int first =
      (static_cast<int>(blockIdx.x) - groups.first_block[group]) * kThreads * kUpdates;
#pragma unroll
  for (int k = 0; k < kUpdates; ++k) {
    const int i = first + k * kThreads + static_cast<int>(threadIdx.x);
    if (i >= o.n) {
      return;
    }
    const float g = o.grad[i] * clip;
    const float m = o.m[i];
    const float v = o.v[i];
    const float param = o.param[i];
    const float new_m = go ? keep_m * m + take_m * g : m;
    const float new_v = go ? keep_v * v + take_v * g * g : v;
    const float moved = param * keep - step * new_m / (sqrtf(new_v) / root_bias2 + o.eps);
    if (o.out_param != nullptr) {
      o.out_param[i] = go ? moved : param;
    }
    if (o.out_m != nullptr) {
      o.out_m[i] = new_m;
    }
    if (o.out_v != nullptr) {
      o.out_v[i] = new_v;
    }
  }
}

constexpr int kMostValues = 6;

struct Record {
  const std::int32_t *row;
  const void *value[kMostValues];
  bool integer[kMostValues];
  float *out;
  int rows, columns;
};

__global__ void record_kernel(const __grid_constant__ Record o) {
  const int row = *o.row % o.rows;
  float *const to = o.out + (row < 0 ? row + o.rows : row) * o.columns;
  const int i = static_cast<int>(threadIdx.x);
  to[i] = o.integer[i] ? static_cast<float>(*static_cast<const std::int32_t *>(o.value[i]))
                       : *static_cast<const float *>(o.value[i]);
}

struct Penalty {
  const float *grad, *param, *fisher, *anchor, *scale;
  float *out;
  int n;
};

__global__ void __launch_bounds__(kThreads) penalty_kernel(Penalty o, Parts parts, float *y) {
  const float scale = *o.scale;
  const int first = static_cast<int>(blockIdx.x) * kBlock;
  double sum = 0;
#pragma unroll 4
  for (int j = 0; j < kPerThread; ++j) {
    const int i = first + j * kThreads + static_cast<int>(threadIdx.x);
    if (i < o.n) {
      const float moved = o.param[i] - o.anchor[i];
      const float weight = o.fisher[i];
      if (o.out != nullptr) {
        o.out[i] = o.grad[i] + scale * weight * moved;
      }
      sum += static_cast<double>(weight) * static_cast<double>(moved) * static_cast<double>(moved);
    }
  }
  sum = block_sum(sum);
  if (sum_of_blocks(parts, sum, sum) && threadIdx.x == 0 && y != nullptr) {
    *y = static_cast<float>(sum);
  }
}

__global__ void __launch_bounds__(kThreads)
    fisher_kernel(const float *old, const float *grad, const float *keep, const float *take,
                  float *out, int n) {
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (i < n) {
    out[i] = *keep * old[i] + *take * grad[i] * grad[i];
  }
}

AdamW adamw_of(const Launch &launch) {
  return {.param = launch.in<float>(CALM_ADAMW_PARAM),
          .grad = launch.in<float>(CALM_ADAMW_GRAD),
          .m = launch.in<float>(CALM_ADAMW_M),
          .v = launch.in<float>(CALM_ADAMW_V),
          .coefficient = launch.in<float>(CALM_ADAMW_COEFFICIENT),
          .lr = launch.in<float>(CALM_ADAMW_LR),
          .bias1 = launch.in<float>(CALM_ADAMW_BIAS1),
          .bias2 = launch.in<float>(CALM_ADAMW_BIAS2),
          .go = launch.in<std::int32_t>(CALM_ADAMW_GO),
          .out_param = launch.out<float>(0),
          .out_m = launch.out<float>(1),
          .out_v = launch.out<float>(2),
          .beta1 = launch.f64(CALM_ADAMW_BETA1),
          .beta2 = launch.f64(CALM_ADAMW_BETA2),
          .weight_decay = launch.f64(CALM_ADAMW_WEIGHT_DECAY),
          .eps = static_cast<float>(launch.f64(CALM_ADAMW_EPS)),
          .n = launch.extent(CALM_ADAMW_PARAM, 0)};
}

std::size_t blocks_of_tensors(const Node &node, std::size_t tensors) {
  std::size_t blocks = 0;
  for (std::size_t i = 0; i < tensors; ++i) {
    blocks += div_up<std::size_t>(count(node.ins[i]), kBlock);
  }
  return blocks;
}

/// The norm of the node's first inputs.
void norm(const Launch &launch, std::uint32_t inputs, Verdict verdict) {
  Tensors tensors{};
  for (std::uint32_t i = 0; i < inputs; ++i) {
    const std::size_t n = count(launch.node().ins[i]);
    tensors.x[i] = launch.in<float>(i);
    tensors.n[i] = static_cast<int>(n);
    tensors.first_block[i + 1] =
        tensors.first_block[i] + static_cast<int>(div_up<std::size_t>(n, kBlock));
  }
  tensors.count = static_cast<int>(inputs);
  verdict.norm = launch.out<float>(CALM_GLOBAL_NORM_NORM);
  verdict.coefficient = launch.out<float>(CALM_GLOBAL_NORM_COEFFICIENT);
  verdict.ok = launch.out<std::int32_t>(CALM_GLOBAL_NORM_OK);
  verdict.max_norm = launch.f64(CALM_GLOBAL_NORM_MAX_NORM);
  norm_kernel<<<blocks_of_sum(blocks_of_tensors(launch.node(), inputs)), kThreads, 0,
                launch.stream()>>>(tensors, parts_of(launch), verdict);
}

}  // namespace

std::size_t global_norm_plan(const Node &node) {
  return parts_bytes(blocks_of_tensors(node, node.ins.size()));
}

void global_norm(const Launch &launch) { norm(launch, launch.n_in(), {}); }

std::size_t guarded_norm_plan(const Node &node) {
  return parts_bytes(blocks_of_tensors(node, node.ins.size() - 1));
}

void guarded_norm(const Launch &launch) {
  const std::uint32_t tensors = launch.n_in() - 1;
  Verdict verdict{};
  verdict.bad = launch.in<std::int32_t>(tensors);
  verdict.go = launch.out<std::int32_t>(kGuardedNormGo);
  verdict.out_bad = launch.out<std::int32_t>(kGuardedNormBad);
  norm(launch, tensors, verdict);
}

void guard(const Launch &launch) {
  guard_kernel<<<1, 1, 0, launch.stream()>>>(
      launch.in<std::int32_t>(CALM_GUARD_OK), launch.in<std::int32_t>(CALM_GUARD_BAD),
      launch.out<std::int32_t>(0), launch.out<std::int32_t>(1));
}

void adamw_joined(const Launch *launches, std::size_t n) {
  Groups groups{};
  const auto flush = [&] {
    const int blocks = groups.first_block[groups.count];
    if (blocks > 0) {
      adamw_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, launches->stream()>>>(groups);
    }
    groups = {};
  };
  for (std::size_t k = 0; k < n; ++k) {
    if (groups.count == kMostGroups) {
      flush();
    }
    const AdamW &o = groups.of[groups.count] = adamw_of(launches[k]);
    groups.first_block[groups.count + 1] =
        groups.first_block[groups.count] + div_up(o.n, kThreads * kUpdates);
    ++groups.count;
  }
  flush();
}

void adamw(const Launch &launch) { adamw_joined(&launch, 1); }

void record(const Launch &launch) {
  const auto *const ring = launch.in<float>(CALM_RECORD_RING);
  Record o{};
  o.out = launch.out<float>(0);
  o.rows = launch.extent(CALM_RECORD_RING, 0);
  o.columns = launch.extent(CALM_RECORD_RING, 1);
  if (o.out == nullptr || o.rows == 0 || o.columns == 0) {
    return;
  }
  if (o.out != ring) {
    check(cudaMemcpyAsync(o.out, ring, count(launch.node().ins[CALM_RECORD_RING]) * sizeof(float),
                          cudaMemcpyDeviceToDevice, launch.stream()),
          "copying the ring");
  }
  o.row = launch.in<std::int32_t>(CALM_RECORD_ROW);
  for (int i = 0; i < o.columns; ++i) {
    const auto input = static_cast<std::uint32_t>(CALM_RECORD_VALUES + i);
    o.value[i] = launch.in<void>(input);
    o.integer[i] = launch.node().ins[input].dtype == CALM_I32;
  }
  record_kernel<<<1, static_cast<unsigned>(o.columns), 0, launch.stream()>>>(o);
}

std::size_t ewc_penalty_plan(const Node &node) {
  return parts_bytes(div_up<std::size_t>(node.extent(CALM_EWC_PENALTY_GRAD, 0), kBlock));
}

void ewc_penalty(const Launch &launch) {
  const Penalty o{
      launch.in<float>(CALM_EWC_PENALTY_GRAD),   launch.in<float>(CALM_EWC_PENALTY_PARAM),
      launch.in<float>(CALM_EWC_PENALTY_FISHER), launch.in<float>(CALM_EWC_PENALTY_ANCHOR),
      launch.in<float>(CALM_EWC_PENALTY_SCALE),  launch.out<float>(0),
      launch.extent(CALM_EWC_PENALTY_GRAD, 0)};
  const unsigned blocks = blocks_of_sum(blocks_of(static_cast<std::size_t>(o.n), kBlock));
  penalty_kernel<<<blocks, kThreads, 0, launch.stream()>>>(o, parts_of(launch),
                                                           launch.out<float>(1));
}

void fisher(const Launch &launch) {
  auto *const out = launch.out<float>(0);
  const int n = launch.extent(CALM_FISHER_FISHER, 0);
  if (out != nullptr && n > 0) {
    fisher_kernel<<<blocks_of(static_cast<std::size_t>(n), kThreads), kThreads, 0,
                    launch.stream()>>>(
        launch.in<float>(CALM_FISHER_FISHER), launch.in<float>(CALM_FISHER_GRAD),
        launch.in<float>(CALM_FISHER_KEEP), launch.in<float>(CALM_FISHER_TAKE), out, n);
  }
}

}  // namespace calm::cuda
