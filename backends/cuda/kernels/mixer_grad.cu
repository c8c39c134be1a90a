// Gradient of the mixer (fused.hpp). With gy = dL/dy = dL/dg silu(z) and w[t] = exp(delta[t] a):
//   dh[t]   = c[t] gy[t] + w[t+1] dh[t+1]
//   grad_s  = d gy + delta sum over n of dh b
//   ddelta  = sum over n of dh w h[t-1] a + s sum over n of dh b
//   dpre    = ddelta softplus'(pre): the gradient of the step size before the softplus
//   grad_q  = sums over channels of dpre dt_weight, dh delta s and gy h[t]
//   grad_z  = dL/dg y silu'(z)
// and sums over rows of dh w h[t-1] delta a (a_log), gy s (d), dpre (dt_bias), dpre q (dt_weight).
//
// As forward, a first launch finds what each span of chunks alone hands to the one before it. Then
// every block goes through its span from the last chunk to the first: forward through a chunk from
// `bounds`, keeping h at every 8th row; then 8 rows at a time from the last, forward again keeping
// h and w in registers, and back. There a thread holds 2 states of 2 channels, so that sums over
// channels and sums over states both begin within a thread. Sums over channels go by shuffles,
// where activations are bf16 by the matrix unit (factors cut to tf32, sums in f32), then warps in
// order, groups of 32 channels in order; sums over rows by chunks.
#include "cuda/kernels/mixer_grad.cuh"

#include "cuda/error.hpp"

namespace calm::cuda {
namespace {

constexpr int kLocalLanes = 4;  // of a channel, in the first launch

template <int kR>
struct LocalShared {
  float2 step[kChunk * kMixChannels];  // delta, gy
  QTile<kR> q;
  Chunk chunk;
};

template <int kR, class T>
__global__ void __launch_bounds__(kScanThreads, 6) local_kernel(MixerBackward<T> o) {
  __shared__ __align__(16) LocalShared<kR> shared;
  const int index = static_cast<int>(blockIdx.x);
  const int first_chunk = index * o.span;
  shared.q.clear();
  load_chunk(shared.chunk, first_chunk * kChunk, o.offsets, o.sequences, o.rows);
  if (!shared.chunk.continues()) {
    return;
  }
  const int end = min(shared.chunk.end[0], (first_chunk + o.span) * kChunk);
  const int first_channel = static_cast<int>(blockIdx.y) * kMixChannels;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int lane_channel = static_cast<int>(threadIdx.x) / kLocalLanes;
  const int state = static_cast<int>(threadIdx.x) % kLocalLanes * kOwnStates;
  const Cells<kOwnStates> cells(o, first_channel + lane_channel, state);
  const StepSize<kR> size(o, first_channel + lane);
  const int own_channel = min(first_channel + lane, o.channels - 1);
  float a[kOwnStates];
  cells.load_decay(o.a_log, a);
  float carry[kOwnStates] = {};
  float sum = 0;
#pragma unroll 1
  for (int c = (end - 1) / kChunk; c >= first_chunk; --c) {
    const int first = c * kChunk;
    const int rows = min(end - first, kChunk);
    const OwnRows own(o, first, 0, rows);
    shared.q.load(o, own);
    __syncthreads();
    const T *const grads = own.at(o.grad + own_channel, o.grad_stride);
    const T *const gates = own.at(o.z + own_channel, o.z_stride);
#pragma unroll 1
    for (int k0 = 0; k0 < kMixEach; k0 += kMixBatch) {
      const T *const grad_row = own_row(grads, o.grad_stride, k0);
      const T *const z_row = own_row(gates, o.z_stride, k0);
      float grad[kMixBatch];
      float z[kMixBatch];
#pragma unroll
      for (int k = 0; k < kMixBatch; ++k) {
        const bool live = (own.live >> k0 >> k & 1U) != 0;
        grad[k] = live ? widen(*own_row(grad_row, o.grad_stride, k)) : 0;
        z[k] = live ? widen(*own_row(z_row, o.z_stride, k)) : 0;
      }
#pragma unroll
      for (int k = 0; k < kMixBatch; ++k) {
        const int r = own.warp() + (k0 + k) * kMixWarps;
        shared.step[r * kMixChannels + lane] =
            make_float2(size(shared.q.dt(r)), grad[k] * (bounded_below(z[k]) * sigmoid_fast(z[k])));
      }
    }
    __syncthreads();
#pragma unroll 4
    for (int r = rows - 1; r >= 0; --r) {
      const float2 step = shared.step[r * kMixChannels + lane_channel];
      const Four c_row(shared.q.c(r) + state);
      sum += step.x;
#pragma unroll
      for (int j = 0; j < kOwnStates; ++j) {
        carry[j] = exp2_fast(step.x * a[j]) * (c_row[j] * step.y + carry[j]);
      }
    }
    __syncthreads();
  }
  cells.store(carry, o.local + static_cast<std::size_t>(index) * o.state_size());
  if (cells.n > 0 && state == 0) {
    o.delta_sum[index * o.channels + first_channel + lane_channel] = sum;
  }
}

/// delta, delta s, gy of a chunk to shared memory; grad_z.
template <int kR, class T>
__device__ void load_rows(GradTile<kR> &shared, const MixerBackward<T> &o, const OwnRows &own,
                          int channel) {
  constexpr int kBatch = kMixBatch / 2;
  const StepSize<kR> size(o, channel);
  const int own_channel = min(channel, o.channels - 1);
  const int n = channel < o.channels ? own.n : 0;
  const T *s_row = own.at(o.s + own_channel, o.s_stride);
  const T *z_row = own.at(o.z + own_channel, o.z_stride);
  const T *y_row = own.at(o.y + own_channel, o.y_stride);
  const T *grad_row = own.at(o.grad + own_channel, o.grad_stride);
  T *to = own.at(o.grad_z + own_channel, o.grad_z_stride);
#pragma unroll 1
  for (int k0 = 0; k0 < kMixEach; k0 += kBatch) {
    const unsigned live = own.live >> k0;
    float s[kBatch];
    float z[kBatch];
    float y[kBatch];
    float grad[kBatch];
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      const bool is_live = (live >> k & 1U) != 0;
      s[k] = is_live ? widen(*own_row(s_row, o.s_stride, k)) : 0;
      z[k] = is_live ? widen(*own_row(z_row, o.z_stride, k)) : 0;
      y[k] = is_live ? widen(*own_row(y_row, o.y_stride, k)) : 0;
      grad[k] = is_live ? widen(*own_row(grad_row, o.grad_stride, k)) : 0;
    }
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      const int r = own.warp() + (k0 + k) * kMixWarps;
      const float step = size(shared.q.dt(r));
      const float delta = (live >> k & 1U) != 0 ? step : 0;
      const float own_z = bounded(z[k]);
      const float sigmoid = sigmoid_fast(own_z);
      const float silu = own_z * sigmoid;
      shared.delta(r, own.lane()) = delta;
      shared.u(r, own.lane()) = delta * s[k];
      shared.gy[r * kMixChannels + own.lane()] = channel < o.channels ? grad[k] * silu : 0;
      if (k0 + k < n) {
        store_act(own_row(to, o.grad_z_stride, k),
                  grad[k] * y[k] * (sigmoid + silu * (1 - sigmoid)));
      }
    }
    s_row = own_row(s_row, o.s_stride, kBatch);
    z_row = own_row(z_row, o.z_stride, kBatch);
    y_row = own_row(y_row, o.y_stride, kBatch);
    grad_row = own_row(grad_row, o.grad_stride, kBatch);
    to = own_row(to, o.grad_z_stride, kBatch);
  }
}

/// A thread's sums over its rows of one channel.
template <int kR>
struct RowSums {
  float d = 0;
  float bias = 0;
  float weight[kR] = {};
};

/// From the sums over states: grad_s, and dpre in place of u.
template <int kR, class T>
__device__ void finish_rows(GradTile<kR> &shared, const MixerBackward<T> &o, const OwnRows &own,
                            int channel, RowSums<kR> &sums) {
  const int own_channel = min(channel, o.channels - 1);
  const int n = channel < o.channels ? own.n : 0;
  const float skip = o.d[own_channel];
  const T *s_row = own.at(o.s + own_channel, o.s_stride);
  T *to = own.at(o.grad_s + own_channel, o.grad_s_stride);
  // Of the thread's rows every second lies in the same place of the next sub-chunk.
  const float *decay[2] = {&shared.decay_sum(own.warp(), own.lane()),
                           &shared.decay_sum(own.warp() + kMixWarps, own.lane())};
#pragma unroll 1
  for (int k0 = 0; k0 < kMixEach; k0 += kMixBatch) {
    const unsigned live = own.live >> k0;
    float s[kMixBatch];
#pragma unroll
    for (int k = 0; k < kMixBatch; ++k) {
      s[k] = (live >> k & 1U) != 0 ? widen(*own_row(s_row, o.s_stride, k)) : 0;
    }
#pragma unroll
    for (int k = 0; k < kMixBatch; ++k) {
      const int r = own.warp() + (k0 + k) * kMixWarps;
      const float delta = shared.delta(r, own.lane());
      const float gy = shared.gy[r * kMixChannels + own.lane()];
      float &u = shared.u(r, own.lane());
      const float dh_b = u;
      if (k0 + k < n) {
        store_act(own_row(to, o.grad_s_stride, k), skip * gy + delta * dh_b);
      }
      const float pre =
          (kLn2 * decay[k % 2][k / 2 * kGradSubSize] + s[k] * dh_b) * softplus_slope_at(delta);
      u = pre;
      sums.d += gy * s[k];
      sums.bias += pre;
#pragma unroll
      for (int i = 0; i < kR; i += 4) {
        const Four four(shared.q.dt(r) + i);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          sums.weight[i + j] += pre * four[j];
        }
      }
    }
    s_row = own_row(s_row, o.s_stride, kMixBatch);
    to = own_row(to, o.grad_s_stride, kMixBatch);
    decay[0] += kMixBatch / 2 * kGradSubSize;
    decay[1] += kMixBatch / 2 * kGradSubSize;
  }
}

/// The step sizes' part of grad_q over the block's channels: two threads a row.
template <int kR, class T>
__device__ void step_columns(GradTile<kR> &shared, const MixerBackward<T> &o, int first) {
  const int r = static_cast<int>(threadIdx.x) / 2;
  const int column = static_cast<int>(threadIdx.x) % 2 * (kR / 2);
  float sums[kR / 2] = {};
#pragma unroll 4
  for (int pair = 0; pair < kGradPairs; ++pair) {
    const float2 pre = two_of(&shared.u(r, 2 * pair));
    const float *const weight = shared.weight + 2 * pair * kR + column;
#pragma unroll
    for (int i = 0; i < kR / 2; i += 2) {
      const float2 one = two_of(weight + i);
      const float2 two = two_of(weight + kR + i);
      sums[i] += pre.x * one.x;
      sums[i + 1] += pre.x * one.y;
      sums[i] += pre.y * two.x;
      sums[i + 1] += pre.y * two.y;
    }
  }
  if (first + r < o.rows) {
    float *const to =
        o.partial + (static_cast<std::size_t>(blockIdx.y) * static_cast<std::size_t>(o.rows) +
                     static_cast<std::size_t>(first + r)) *
                        static_cast<std::size_t>(o.width());
#pragma unroll
    for (int i = 0; i < kR / 2; ++i) {
      if (column + i < o.rank) {
        to[column + i] = sums[i];
      }
    }
  }
}

template <int kR, class T>
__global__ void __launch_bounds__(kScanThreads, 4) scan_kernel(MixerBackward<T> o) {
  using Columns = std::conditional_t<std::is_same_v<T, float>, ExactColumns, FastColumns>;
  extern __shared__ __align__(16) unsigned char memory[];
  auto &shared = *reinterpret_cast<GradTile<kR> *>(memory);
  const int tid = static_cast<int>(threadIdx.x);
  const int index = static_cast<int>(blockIdx.x);
  const int first_channel = static_cast<int>(blockIdx.y) * kMixChannels;
  const GradPlace place = grad_place();
  const Cells<2> cells[2] = {{o, first_channel + 2 * place.pair, place.state},
                             {o, first_channel + 2 * place.pair + 1, place.state}};
  const int channel = first_channel + tid % kWarp;  // where lanes are channels
  float a[kGradOwn];
  cells[0].load_decay(o.a_log, a);
  cells[1].load_decay(o.a_log, a + 2);
  float carry[kGradOwn] = {};
  shared.q.clear();
  const int begin_chunk = index * o.span;
  const int end_chunk = min(begin_chunk + o.span, o.chunks);
#pragma unroll 1
  for (int c = end_chunk - 1; c >= begin_chunk; --c) {
    const int first = c * kChunk;
    load_chunk(shared.chunk, first, o.offsets, o.sequences, o.rows);
    const std::uint64_t starts = starts_of(shared.chunk);
    const OwnRows own(o, shared.chunk);
    const bool continues = shared.chunk.continues();
    if (c == end_chunk - 1 && shared.chunk.goes_on()) {
      // From the span in which the sequence ends back.
      int from = (shared.chunk.end[kChunk - 1] - 1) / (o.span * kChunk);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        cells[i].load(o.local + static_cast<std::size_t>(from) * o.state_size(), carry + 2 * i);
      }
#pragma unroll 2
      for (--from; from > index; --from) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const float sum =
              cells[i].n > 0 ? o.delta_sum[from * o.channels + first_channel + 2 * place.pair + i]
                             : 0;
          float alone[2];
          cells[i].load(o.local + static_cast<std::size_t>(from) * o.state_size(), alone);
#pragma unroll
          for (int j = 0; j < 2; ++j) {
            carry[2 * i + j] = alone[j] + exp2_fast(a[2 * i + j] * sum) * carry[2 * i + j];
          }
        }
      }
    }
    shared.q.load(o, own);
    __syncthreads();
    load_rows(shared, o, own, channel);
    float h[kGradOwn] = {};
    if (continues) {
      cells[0].load(o.bounds + static_cast<std::size_t>(c) * o.state_size(), h);
      cells[1].load(o.bounds + static_cast<std::size_t>(c) * o.state_size(), h + 2);
    }
    __syncthreads();
#pragma unroll 1
    for (int sub = 0; sub < kGradSubs; ++sub) {
      shared.h[sub][tid] = make_float4(h[0], h[1], h[2], h[3]);
      if (sub + 1 == kGradSubs) {
        break;
      }
      float w[kGradOwn];
      if (((starts >> (sub * kGradSub)) & 255U) == 0) {
#pragma unroll
        for (int k = 0; k < kGradSub; ++k) {
          step_forward<true>(shared, place, sub * kGradSub + k, false, a, h, w, h);
        }
      } else {
#pragma unroll
        for (int k = 0; k < kGradSub; ++k) {
          const int r = sub * kGradSub + k;
          step_forward<false>(shared, place, r, ((starts >> r) & 1U) != 0, a, h, w, h);
        }
      }
    }
    float grad_a[kGradOwn] = {};
    const int state = tid % kMixStates;  // where lanes are columns
    float *const columns = own.at(o.partial, o.width()) +
                           static_cast<std::size_t>(blockIdx.y) * static_cast<std::size_t>(o.rows) *
                               static_cast<std::size_t>(o.width()) +
                           (o.rank + (own.lane() < kMixStates ? 0 : o.states) + state);
#pragma unroll 1
    for (int sub = kGradSubs - 1; sub >= 0; --sub) {
      if (((starts >> (sub * kGradSub)) & 255U) == 0) {
        sub_chunk<true, Columns>(shared, place, sub, starts, a, carry, grad_a);
      } else {
        sub_chunk<false, Columns>(shared, place, sub, starts, a, carry, grad_a);
      }
      __syncthreads();
#pragma unroll
      for (int i = 0; i < kGradSub / kMixWarps; ++i) {
        const int k = own.warp() + i * kMixWarps;
        float sum = 0;
#pragma unroll
        for (int warp = 0; warp < kMixWarps; ++warp) {
          sum += shared.warps[warp][k][own.lane()];
        }
        const int number = sub * (kGradSub / kMixWarps) + i;
        if (number < own.n && state < o.states) {
          *own_row(columns, o.width(), number) = sum;
        }
      }
      __syncthreads();
    }
    float *const sums = o.sums + static_cast<std::size_t>(c) *
                                     static_cast<std::size_t>(o.channels) *
                                     static_cast<std::size_t>(o.states + 2 + o.rank);
#pragma unroll
    for (int e = 0; e < kGradOwn; ++e) {
      grad_a[e] *= kLn2 * a[e];
    }
    cells[0].store(grad_a, sums);
    cells[1].store(grad_a + 2, sums);
    for (int i = tid; i < kMixChannels * kR; i += kScanThreads) {
      const int weight_channel = first_channel + i / kR;
      shared.weight[i] = weight_channel < o.channels && i % kR < o.rank
                             ? o.dt_weight[weight_channel * o.rank + i % kR]
                             : 0;
    }
    RowSums<kR> row_sums;
    finish_rows(shared, o, own, channel, row_sums);
    __syncthreads();
    step_columns(shared, o, first);
    // The warps' sums: [d, bias, weight][warp][channel], where h was.
    float *const warps = &shared.h[0][0].x;
    warps[tid] = row_sums.d;
    warps[kScanThreads + tid] = row_sums.bias;
#pragma unroll
    for (int i = 0; i < kR; ++i) {
      warps[(2 + i) * kScanThreads + tid] = row_sums.weight[i];
    }
    __syncthreads();
    for (int i = tid; i < kMixChannels * (2 + o.rank); i += kScanThreads) {
      const int number = i / kMixChannels;
      const int to = first_channel + i % kMixChannels;
      float sum = 0;
#pragma unroll
      for (int warp = 0; warp < kMixWarps; ++warp) {
        sum += warps[number * kScanThreads + warp * kMixChannels + i % kMixChannels];
      }
      if (to < o.channels) {
        const int at =
            number < 2 ? number * o.channels + to : 2 * o.channels + to * o.rank + number - 2;
        sums[o.state_size() + static_cast<std::size_t>(at)] = sum;
      }
    }
  }
}

/// grad_q: the groups' sums, added in order.
template <class T>
__global__ void __launch_bounds__(kThreads)
    columns_kernel(const float *__restrict__ partial, int groups, int rows, int width, T *grad_q,
                   int stride) {
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (i >= rows * width) {
    return;
  }
  float sum = 0;
#pragma unroll 8
  for (int group = 0; group < groups; ++group) {
    sum += partial[static_cast<std::size_t>(group) * static_cast<std::size_t>(rows * width) +
                   static_cast<std::size_t>(i)];
  }
  store_act(grad_q + static_cast<std::ptrdiff_t>(i / width) * stride + i % width, sum);
}

struct Work : MixerWork {
  float *partial;
  Work(Scratch &scratch, const Node &node)
      : MixerWork(scratch, node),
        partial(scratch.take<float>(div_up<std::size_t>(node.extent(kMixerS, 1), kMixChannels) *
                                    count(node.ins[kMixerQ]))) {}
};

template <class T, int kR>
void run(const Launch &launch) {
  MixerBackward<T> o{};
  static_cast<Mixer<T> &>(o) = mixer_of<T>(launch);
  Scratch scratch(launch.scratch());
  const Work work(scratch, launch.node());
  o.local = work.local;
  o.delta_sum = work.delta_sum;
  o.partial = work.partial;
  o.y = launch.in<T>(kMixerGradY);
  o.y_stride = static_cast<int>(launch.in_stride(kMixerGradY));
  o.grad = launch.in<T>(kMixerGradG);
  o.grad_stride = static_cast<int>(launch.in_stride(kMixerGradG));
  o.bounds = launch.in<float>(kMixerGradBounds);
  o.grad_s = launch.out<T>(kMixerGradS);
  o.grad_s_stride = static_cast<int>(launch.out_stride(kMixerGradS));
  o.grad_z = launch.out<T>(kMixerGradZ);
  o.grad_z_stride = static_cast<int>(launch.out_stride(kMixerGradZ));
  o.sums = launch.out<float>(kMixerGradSums);
  const dim3 grid = mixer_grid(o);
  if (grid.x == 0 || grid.y == 0) {
    return;
  }
  if (grid.x > 1) {
    local_kernel<kR, T><<<grid, kScanThreads, 0, launch.stream()>>>(o);
  }
  constexpr std::size_t kShared = sizeof(GradTile<kR>);
  check(cudaFuncSetAttribute(scan_kernel<kR, T>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(kShared)),
        "asking for shared memory");
  scan_kernel<kR, T><<<grid, kScanThreads, kShared, launch.stream()>>>(o);
  const auto numbers = static_cast<std::size_t>(o.rows) * static_cast<std::size_t>(o.width());
  columns_kernel<T><<<blocks_of(numbers, kThreads), kThreads, 0, launch.stream()>>>(
      o.partial, static_cast<int>(grid.y), o.rows, o.width(), launch.out<T>(kMixerGradQ),
      static_cast<int>(launch.out_stride(kMixerGradQ)));
}

}  // namespace

std::size_t mixer_grad_plan(const Node &node) {
  check_mixer(node);
  Scratch scratch;
  const Work work(scratch, node);
  return scratch.used();
}

void mixer_grad(const Launch &launch) {
  with_mixer_types(launch.node(), [&]<class T, int kR>() { run<T, kR>(launch); });
}

}  // namespace calm::cuda
