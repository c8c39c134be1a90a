// What pieces of the batch hand on to each other, as the mixer and its gradient do: states, or
// going back their gradients.
#pragma once

#include "cuda/kernels/mixer_rows.cuh"

namespace calm::cuda {

/// Pairs of numbers of each lane's states, in shared memory.
using LanePairs = float2[kMixPairs][kWarp];

/// a log2 e of a channel's states, a = -exp(a_log): exp(a delta) is 2 to the power of that times
/// delta. 0 beyond the last state.
template <class T>
__device__ inline void load_decay(const Mixer<T> &o, const MixerPlace &place, LanePairs &to) {
  const float *const from = o.a_log + static_cast<std::ptrdiff_t>(place.channel) * o.states;
  float a[kMixStates];
  if (o.states == kMixStates && reinterpret_cast<std::uintptr_t>(o.a_log) % 16 == 0) {
    load_eight(from, *reinterpret_cast<float(*)[kGroup]>(a));
    load_eight(from + kGroup, *reinterpret_cast<float(*)[kGroup]>(a + kGroup));
  } else {
#pragma unroll
    for (int n = 0; n < kMixStates; ++n) {
      a[n] = n < o.states ? from[n] : 0;
    }
  }
#pragma unroll
  for (int n = 0; n < kMixStates; n += 2) {
    to[n / 2][place.lane] = make_float2(n < o.states ? -kLog2e * expf(a[n]) : 0,
                                        n + 1 < o.states ? -kLog2e * expf(a[n + 1]) : 0);
  }
}

/// What this piece alone hands on: a number for each state, and the sum of delta.
template <class T>
__device__ inline void store_alone(const Mixer<T> &o, const MixerPlace &place, const LanePairs &h,
                                   float sum) {
  if (!place.live) {
    return;
  }
  float2 *const to =
      o.local +
      static_cast<std::size_t>(blockIdx.x) * static_cast<std::size_t>(o.channels * kMixPairs) +
      place.channel;
#pragma unroll
  for (int i = 0; i < kMixPairs; ++i) {
    to[i * o.channels] = h[i][place.lane];
  }
  o.delta_sum[static_cast<int>(blockIdx.x) * o.channels + place.channel] = sum;
}

/// What the piece next to this one hands on, with all that came before it.
template <class T>
__device__ inline void load_handed(const Mixer<T> &o, const MixerPlace &place, int piece,
                                   LanePairs &h) {
  const float2 *const from =
      o.local + static_cast<std::size_t>(piece) * static_cast<std::size_t>(o.channels * kMixPairs) +
      place.channel;
  float2 own[kMixPairs];
#pragma unroll
  for (int i = 0; i < kMixPairs; ++i) {
    own[i] = from[i * o.channels];
  }
#pragma unroll
  for (int i = 0; i < kMixPairs; ++i) {
    h[i][place.lane] = own[i];
  }
}

__device__ inline void clear(LanePairs &h, const MixerPlace &place) {
#pragma unroll
  for (int i = 0; i < kMixPairs; ++i) {
    h[i][place.lane] = make_float2(0, 0);
  }
}

/// One of a pair of states.
__device__ inline float &part(float2 &pair, int e) { return e == 0 ? pair.x : pair.y; }
__device__ inline float part(const float2 &pair, int e) { return e == 0 ? pair.x : pair.y; }

/// Adds to what each piece alone hands on what comes through it: a thread two states of a channel,
/// blockIdx.y the sequence, from its first piece on or, going back, from its last. Numbers of
/// kAtOnce pieces are under way at a time.
template <bool kBack, int kAtOnce, class T>
__global__ void __launch_bounds__(kMixThreads) hand_on_kernel(Mixer<T> o) {
  const int sequence = static_cast<int>(blockIdx.y);
  const int begin = max(o.offsets[sequence], 0);
  const int end = min(o.offsets[sequence + 1], o.rows);
  const int own = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int channel = own % o.channels;
  const int pair = own / o.channels;
  // Pieces that the sequence goes through the border of: behind each, going back before it.
  const int n = begin < end ? (end - 1) / o.piece - begin / o.piece : 0;
  if (n < 2 || pair >= kMixPairs) {
    return;
  }
  const int first = kBack ? (end - 1) / o.piece : begin / o.piece;
  const auto decay = [&](int state) {
    return state < o.states
               ? -kLog2e * expf(o.a_log[static_cast<std::ptrdiff_t>(channel) * o.states + state])
               : 0.0F;
  };
  const float2 a = make_float2(decay(2 * pair), decay(2 * pair + 1));
  // From one piece to the next.
  const std::ptrdiff_t sum_step = kBack ? -o.channels : o.channels;
  const std::ptrdiff_t step = sum_step * kMixPairs;
  const float *sums = o.delta_sum + static_cast<std::ptrdiff_t>(first) * o.channels + channel;
  float2 *local = o.local + static_cast<std::ptrdiff_t>(first) * o.channels * kMixPairs + own;
  float2 h = make_float2(0, 0);
#pragma unroll 1
  for (int done = 0; done < n; done += kAtOnce) {
    float sum[kAtOnce];
    float2 alone[kAtOnce];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if (done + j < n) {
        sum[j] = sums[j * sum_step];
        alone[j] = local[j * step];
      }
    }
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if (done + j < n) {
        h.x = alone[j].x + exp2_fast(a.x * sum[j]) * h.x;
        h.y = alone[j].y + exp2_fast(a.y * sum[j]) * h.y;
        local[j * step] = h;
      }
    }
    sums += kAtOnce * sum_step;
    local += kAtOnce * step;
  }
}

/// Behind the launch that leaves what each piece alone hands on.
template <bool kBack, class T>
void hand_on(const Mixer<T> &o, cudaStream_t stream) {
  const dim3 blocks(blocks_of(static_cast<std::size_t>(o.channels) * kMixPairs, kMixThreads),
                    static_cast<unsigned>(o.sequences));
  if (o.pieces() <= 2 || o.sequences <= 0) {
    return;
  }
  // Few blocks wait for memory: one round for most sequences. Many hide it: fewer instructions.
  constexpr unsigned kMany = 512;
  if (blocks.x * blocks.y < kMany) {
    hand_on_kernel<kBack, 16, T><<<blocks, kMixThreads, 0, stream>>>(o);
  } else {
    hand_on_kernel<kBack, 8, T><<<blocks, kMixThreads, 0, stream>>>(o);
  }
}

}  // namespace calm::cuda
