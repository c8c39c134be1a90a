// Gradient of the mixer (fused.hpp). With gy = dL/dy = dL/dg silu(z) and w[t] = exp(delta[t] a):
//   dh[t]   = c[t] gy[t] + w[t+1] dh[t+1]
//   grad_s  = d gy + delta sum over n of dh b
//   ddelta  = sum over n of dh w h[t-1] a + s sum over n of dh b
//   dpre    = ddelta softplus'(pre): the gradient of the step size before the softplus
//   grad_q  = sums over channels of dpre dt_weight, dh delta s and gy h[t]
//   grad_z  = dL/dg y silu'(z)
// and sums over rows of dh w h[t-1] delta a (a_log), gy s (d), dpre (dt_bias), dpre q (dt_weight).
//
// As forward, a first launch finds what each piece alone hands to the one before it and a second
// adds what comes through it. Then every block goes through its piece from the last eight rows to
// the first: forward through them from the states kept by the mixer, and back. Sums over channels
// go by the matrix unit: where activations are bf16 with factors cut to TF32 (sums are f32), else
// in two parts.
#include <type_traits>

#include "cuda/error.hpp"
#include "cuda/kernels/mixer_step_grad.cuh"

namespace calm::cuda {
namespace {

template <class T>
struct Backward : Mixer<T> {
  Rows<const T> y, grad;
  Rows<T> grad_s, grad_q, grad_z;
  Rows<const typename ActPair<T>::Type> states_before;
  float *sums;
  float *partial;  // [groups of channels, T, R + 2 N]
  int padding;     // columns of grad_q behind these, which are 0
};

/// A warp's shared memory in the first launch.
template <class T>
struct LocalRows {
  LanePairs a, carry;
  WarpRows<T> z, grad;
  WarpRows<float> delta;

  __device__ void fetch(const Backward<T> &o, const MixerPlace &place, const Group &group) {
    begin_fetches(o, place, group.first, group.live, Fetch<T>{z, o.z}, Fetch<T>{grad, o.grad},
                  Fetch<float>{delta, o.delta});
  }
};

template <int kR, class T>
__global__ void __launch_bounds__(kMixThreads, 6) local_kernel(Backward<T> o) {
  __shared__ __align__(8) Piece piece;
  __shared__ QTile<kR, T> q;
  __shared__ LocalRows<T> warps[kMixWarps];
  const MixerPlace place(o);
  LocalRows<T> &own = warps[place.warp];
  const LiveRows live(o);
  load_decay(o, place, own.a);
  clear(own.carry, place);
  piece.load(o, place);
  if (!piece.continues(place)) {
    return;
  }
  const int end = min(piece.first_end, place.first + place.n);
  const int last = (end - 1 - place.first) / kGroup;
  own.fetch(o, place, Group(o, place, last, live.begin, end));
  q.fetch(o, place, place.first + last * kGroup / kMixTile * kMixTile, live);
  end_batch();
  float sum = 0;
#pragma unroll 1
  for (int number = last; number >= 0; --number) {
    const int row = number * kGroup % kMixTile;
    wait_for_fetches();
    if (number == last || row == kMixTile - kGroup) {
      const int next = number * kGroup - row - kMixTile;
      q.turn(o, place, live, place.first + next, next >= 0);
    }
    float delta[kGroup];
    float z[kGroup];
    float gy[kGroup];
    own.delta.get(place, delta);
    own.z.get(place, z);
    own.grad.get(place, gy);
    __syncwarp();
    if (number > 0) {
      own.fetch(o, place, Group(o, place, number - 1, live.begin, end));
      end_batch();
    }
#pragma unroll
    for (int k = 0; k < kGroup; ++k) {
      gy[k] *= bounded_below(z[k]) * sigmoid_fast(z[k]);
      sum += delta[k];
    }
#pragma unroll 1
    for (int pair = 0; pair < kMixPairs; ++pair) {
      const float2 a = own.a[pair][place.lane];
      float2 carry = own.carry[pair][place.lane];
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float c[kGroup];
        load_eight(q.c(2 * pair + e, row), c);
#pragma unroll
        for (int k = kGroup - 1; k >= 0; --k) {
          part(carry, e) = exp2_fast(delta[k] * part(a, e)) * (c[k] * gy[k] + part(carry, e));
        }
      }
      own.carry[pair][place.lane] = carry;
    }
  }
  store_alone(o, place, own.carry, sum);
}

/// Sums over a block's warps of eight rows of grad_q, to rows of a tensor.
template <int kR, class T, class To>
__device__ void add_columns(const GradShared<kR, T> &shared, const Backward<T> &o,
                            const Group &group, const Rows<To> &to) {
  constexpr int kWidth = QTile<kR, T>::kWidth;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  for (int j = static_cast<int>(threadIdx.x); j < kWidth * 2; j += static_cast<int>(blockDim.x)) {
    const int from = j % kWidth;
    const int row = j / kWidth * 4;
    if (QTile<kR, T>::left(o, from) <= 0) {
      continue;
    }
    float4 sum = make_float4(0, 0, 0, 0);
    for (int warp = 0; warp < warps; ++warp) {
      const float4 part = *reinterpret_cast<const float4 *>(&shared.warps[warp].columns[from][row]);
      sum.x += part.x;
      sum.y += part.y;
      sum.z += part.z;
      sum.w += part.w;
    }
    To *at = to.row(group.first + row) + QTile<kR, T>::column(o, from);
    const float sums[4] = {sum.x, sum.y, sum.z, sum.w};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (row + k < group.n) {
        store_act(at, sums[k]);
      }
      at += to.stride;
    }
  }
}

/// grad_q of eight rows, or the block's part of it.
template <int kR, class T>
__device__ void store_columns(const GradShared<kR, T> &shared, const Backward<T> &o,
                              const Group &group) {
  if (gridDim.y == 1) {
    add_columns(shared, o, group, o.grad_q);
    for (int i = static_cast<int>(threadIdx.x); i < o.padding * group.n;
         i += static_cast<int>(blockDim.x)) {
      store_act(o.grad_q.row(group.first + i % group.n) + o.width() + i / group.n, 0);
    }
  } else {
    const Rows<float> part{o.partial + static_cast<std::size_t>(blockIdx.y) *
                                           static_cast<std::size_t>(o.rows) *
                                           static_cast<std::size_t>(o.width()),
                           o.width()};
    add_columns(shared, o, group, part);
  }
}

/// A lane's sums over its rows.
struct RowSums {
  float d = 0;
  float bias = 0;
};

/// The piece's part of the gradients of weights.
template <int kR, class T>
__device__ void store_sums(const GradWarp<kR, T> &own, const Backward<T> &o,
                           const MixerPlace &place, const RowSums &row_sums) {
  const std::size_t states =
      static_cast<std::size_t>(o.channels) * static_cast<std::size_t>(o.states);
  float *const sums = o.sums + static_cast<std::size_t>(blockIdx.x) *
                                   (states + static_cast<std::size_t>(o.channels) *
                                                 static_cast<std::size_t>(2 + o.rank));
  float *const behind = sums + states;
  if (place.live) {
    float *const to = sums + static_cast<std::ptrdiff_t>(place.channel) * o.states;
    for (int n = 0; n < o.states; ++n) {
      const float2 grad_a = own.grad_a[n / 2][place.lane];
      const float2 a = own.a[n / 2][place.lane];
      to[n] = kLn2 * (n % 2 == 0 ? grad_a.x * a.x : grad_a.y * a.y);
    }
    behind[place.channel] = row_sums.d;
    behind[o.channels + place.channel] = row_sums.bias;
  }
  float *const weights = behind + 2 * static_cast<std::ptrdiff_t>(o.channels);
#pragma unroll
  for (int tile = 0; tile < GradWarp<kR, T>::kTiles; ++tile) {
    if (!own.has_weights(tile, place.lane)) {
      continue;
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float4 sum = own.grad_weight(tile, half, place.lane);
      const float four[4] = {sum.x, sum.y, sum.z, sum.w};
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int channel = place.first_channel + 16 * half + place.lane / 4 + e / 2 * 8;
        const int column = 8 * tile + place.lane % 4 * 2 + e % 2;
        if (channel < o.channels && column < o.rank) {
          weights[channel * o.rank + column] = four[e];
        }
      }
    }
  }
}

template <int kR, class T>
__global__ void __launch_bounds__(kMixThreads, 4) scan_kernel(Backward<T> o) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto &shared = *reinterpret_cast<GradShared<kR, T> *>(memory);
  const MixerPlace place(o);
  GradWarp<kR, T> &own = shared.warps[place.warp];
  const LiveRows live(o);
  const Selection selection(place.lane);
  load_decay(o, place, own.a);
  clear(own.grad_a, place);
#pragma unroll
  for (int tile = 0; tile < GradWarp<kR, T>::kTiles; ++tile) {
    if (own.has_weights(tile, place.lane)) {
      own.grad_weight(tile, 0, place.lane) = make_float4(0, 0, 0, 0);
      own.grad_weight(tile, 1, place.lane) = make_float4(0, 0, 0, 0);
    }
  }
  shared.piece.load(o, place);
  if (shared.piece.goes_on(place) && place.live) {
    load_handed(o, place, static_cast<int>(blockIdx.x) + 1, own.carry);
  } else {
    clear(own.carry, place);
  }
  const float skip = o.d[place.channel];
  RowSums row_sums;
  const int last = (place.n - 1) / kGroup;
  own.fetch(o, place, Group(o, place, last, live.begin, live.end));
  shared.q.fetch(o, place, place.first + last * kGroup, live);
  end_batch();
  wait_for_fetches();
  shared.q.unpack(place);
  __syncthreads();
#pragma unroll 1
  for (int number = last; number >= 0; --number) {
    const Group group(o, place, number, live.begin, live.end);
    const Starts starts(shared.piece, number);
    wait_for_fetches();
    GradRows rows;
    {
      float s[kGroup];
      float z[kGroup];
      float y[kGroup];
      float grad[kGroup];
      float grad_z[kGroup];
      own.s.get(place, s);
      own.z.get(place, z);
      own.y.get(place, y);
      own.grad.get(place, grad);
      own.delta.get(place, rows.delta);
      __syncwarp();
      using Pair = typename ActPair<T>::Type;
      begin_fetches(o, place, group.first / kGroup * pairs_of(o),
                    group.is_live(0) ? (1U << pairs_of(o)) - 1 : 0,
                    Fetch<Pair>{own.before, o.states_before});
      end_batch();
      if (number > 0) {
        shared.q.fetch(o, place, group.first - kGroup, live);
      }
      end_batch();
#pragma unroll
      for (int k = 0; k < kGroup; ++k) {
        const float own_z = bounded(z[k]);
        const float sigmoid = sigmoid_fast(own_z);
        const float silu = own_z * sigmoid;
        rows.u[k] = rows.delta[k] * s[k];
        rows.gy[k] = grad[k] * silu;
        rows.dh_b[k] = rows.decay[k] = 0;
        grad_z[k] = grad[k] * y[k] * (sigmoid + silu * (1 - sigmoid));
      }
      own.z.store(o, o.grad_z, place, group, grad_z);
      wait_for_fetches<1>();
    }
    float4 columns[2];
    if (starts.any()) {
      columns[0] = go_back<0, false>(own, shared.q, starts, selection, rows);
      columns[1] = go_back<1, false>(own, shared.q, starts, selection, rows);
    } else {
      columns[0] = go_back<0, true>(own, shared.q, starts, selection, rows);
      columns[1] = go_back<1, true>(own, shared.q, starts, selection, rows);
    }
    {
      const int number = place.lane % 4;  // of four rows of grad_b, then of grad_c
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int column = kR + number / 2 * kMixStates + half * kHalf + place.lane / 4;
        *reinterpret_cast<float4 *>(&own.columns[column][number % 2 * 4]) = columns[half];
      }
    }
    const StepWeights<GradWarp<kR, T>::kTiles> weights(o, place);
    float s[kGroup];
    float grad_s[kGroup];
    own.s.get(place, s);
#pragma unroll
    for (int k = 0; k < kGroup; ++k) {
      grad_s[k] = skip * rows.gy[k] + rows.delta[k] * rows.dh_b[k];
      const float pre = (kLn2 * rows.decay[k] + s[k] * rows.dh_b[k]) *
                        softplus_slope_at<std::is_same_v<T, float>>(rows.delta[k]);
      own.pre[k][place.lane] = pre;
      row_sums.d += rows.gy[k] * s[k];
      row_sums.bias += pre;
    }
    own.s.store(o, o.grad_s, place, group, grad_s);
    if (number > 0) {
      own.fetch(o, place, Group(o, place, number - 1, live.begin, live.end));
    }
    end_batch();
    __syncwarp();
    step_gradients(own, shared.q, weights, o, place);
    __syncthreads();
    store_columns(shared, o, group);
    if (number > 0) {
      wait_for_fetches<1>();
      shared.q.unpack(place);
    }
    __syncthreads();  // before the next rows
  }
  store_sums(own, o, place, row_sums);
}

constexpr int kColumnsEach = 4;  // numbers of a thread

/// grad_q: the groups' sums, added in order.
template <class T>
__global__ void __launch_bounds__(kThreads)
    columns_kernel(const float *__restrict__ partial, int groups, int rows, int width, int padding,
                   Rows<T> grad_q) {
  constexpr int kAtOnce = 2;  // groups
  const auto size = static_cast<std::ptrdiff_t>(rows) * width;
  const int first =
      static_cast<int>(blockIdx.x) * kThreads * kColumnsEach + static_cast<int>(threadIdx.x);
  float sums[kColumnsEach] = {};
#pragma unroll 1
  for (int group = 0; group < groups; group += kAtOnce) {
    float parts[kAtOnce][kColumnsEach];  // all asked for before the first is added
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
#pragma unroll
      for (int e = 0; e < kColumnsEach; ++e) {
        const int i = first + e * kThreads;
        parts[j][e] = group + j < groups && i < size ? partial[(group + j) * size + i] : 0;
      }
    }
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
#pragma unroll
      for (int e = 0; e < kColumnsEach; ++e) {
        sums[e] += parts[j][e];
      }
    }
  }
#pragma unroll
  for (int e = 0; e < kColumnsEach; ++e) {
    const int i = first + e * kThreads;
    if (i >= size) {
      return;
    }
    const int column = i % width;
    T *const to = grad_q.row(i / width);
    for (int behind = width + column; behind < width + padding; behind += width) {
      store_act(to + behind, 0);
    }
    store_act(to + column, sums[e]);
  }
}

struct Work : MixerWork {
  float *partial;
  Work(Scratch &scratch, const Node &node)
      : MixerWork(scratch, node),
        partial(scratch.take<float>(div_up<std::size_t>(node.extent(kMixerS, 1), 3 * kWarp) *
                                    count(node.ins[kMixerQ]))) {}
};

template <class T, int kR>
void run(const Launch &launch) {
  Scratch scratch(launch.scratch());
  const Work work(scratch, launch.node());
  Backward<T> o{};
  static_cast<Mixer<T> &>(o) = mixer_of<T>(launch, work);
  o.partial = work.partial;
  o.y = rows_in<T>(launch, kMixerGradY);
  o.states_before = {launch.in<typename ActPair<T>::Type>(kMixerGradStates), o.channels};
  o.delta = rows_in<float>(launch, kMixerGradDelta);
  o.grad = rows_in<T>(launch, kMixerGradG);
  o.grad_s = rows_out<T>(launch, kMixerGradS);
  o.grad_q = rows_out<T>(launch, kMixerGradQ);
  o.grad_z = rows_out<T>(launch, kMixerGradZ);
  o.aligned = o.aligned && o.y.is_aligned() && o.delta.is_aligned() && o.grad.is_aligned() &&
              o.grad_s.is_aligned() && o.grad_z.is_aligned();
  o.padding = o.grad_q.at == nullptr
                  ? 0
                  : static_cast<int>(launch.node().outs[kMixerGradQ].shape[1]) - o.width();
  o.sums = launch.out<float>(kMixerGradSums);
  const MixerGrid grid(o);
  if (grid.empty()) {
    return;
  }
  if (grid.blocks.x > 1) {
    local_kernel<kR, T><<<grid.blocks, grid.threads(), 0, launch.stream()>>>(o);
    hand_on<true, T>(o, launch.stream());
  }
  check(cudaFuncSetAttribute(scan_kernel<kR, T>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(GradShared<kR, T>::size(kMixWarps))),
        "asking for shared memory");
  scan_kernel<kR, T>
      <<<grid.blocks, grid.threads(), GradShared<kR, T>::size(grid.warps), launch.stream()>>>(o);
  if (grid.blocks.y > 1) {
    const auto numbers = static_cast<std::size_t>(o.rows) * static_cast<std::size_t>(o.width());
    columns_kernel<T>
        <<<blocks_of(numbers, kThreads * kColumnsEach), kThreads, 0, launch.stream()>>>(
            o.partial, static_cast<int>(grid.blocks.y), o.rows, o.width(), o.padding, o.grad_q);
  }
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
