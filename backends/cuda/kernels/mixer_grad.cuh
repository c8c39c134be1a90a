// What mixer_grad.cu keeps in shared memory and how it goes forward and back through eight rows of
// its chunk.
#pragma once

#include "cuda/kernels/mixer.cuh"

namespace calm::cuda {

inline constexpr int kGradPairLanes = 4;  // side by side, each with two channels
inline constexpr int kGradOwn = 4;  // states of a thread: number 2 i + j is state j of channel i
inline constexpr int kGradSub = 8;  // rows whose states are in registers at a time
inline constexpr int kGradSubs = kChunk / kGradSub;
inline constexpr int kGradPairs = kMixChannels / 2;
inline constexpr int kGradWarpChannels = kMixChannels / kMixWarps;
inline constexpr int kGradSubSize = kScanThreads * kGradOwn;  // floats of GradTile::h
inline constexpr int kGradColumns = 2 * kMixStates;           // of grad_b and grad_c
inline constexpr float kLn2 = 0.693147181F;

template <class T>
struct MixerBackward : Mixer<T> {
  const T *y, *grad;
  const float *bounds;
  T *grad_s, *grad_z;
  int y_stride, grad_stride, grad_s_stride, grad_z_stride;
  float *sums;
  float *local;      // [spans, E, N]: what a span alone hands back
  float *delta_sum;  // [spans, E]
  float *partial;    // [groups of channels, T, R + 2 N]
};

/// A block's shared memory: four of them fit a multiprocessor.
template <int kR>
struct GradTile {
  /// Before every 8th row; then sums over states of dh w h[t-1] a.
  float4 h[kGradSubs][kScanThreads];
  /// delta and delta s of two channels; in place of the latter, once they are done with, sums over
  /// states of dh b, then dpre. One more in a row: lanes that are rows find other banks.
  float4 step[kChunk][kGradPairs + 1];
  float gy[kChunk * kMixChannels];
  QTile<kR> q;
  union {
    Chunk chunk;
    float warps[kMixWarps][kGradSub][kGradColumns];  // grad_b and grad_c over a warp's channels
    float weight[kMixChannels * kR];
  };

  __device__ float &delta(int r, int channel) {
    return reinterpret_cast<float *>(&step[r][channel / 2])[channel % 2];
  }
  __device__ float &u(int r, int channel) {
    return reinterpret_cast<float *>(&step[r][channel / 2])[2 + channel % 2];
  }
  /// Where the sum for row r of a channel lies once the states there are done with: in the memory
  /// of the warp that does both, warps apart in other banks.
  __device__ float &decay_sum(int r, int channel) {
    const int warp = channel / kGradWarpChannels;
    return reinterpret_cast<float *>(
        &h[r / kGradSub][warp * kWarp])[(r + warp) % kGradSub * kGradWarpChannels +
                                        channel % kGradWarpChannels];
  }
};

/// A thread's place: four lanes side by side hold the same two states of eight channels.
struct GradPlace {
  int pair;   // of channels of the block
  int state;  // the first of two
};
__device__ inline GradPlace grad_place() {
  const int tid = static_cast<int>(threadIdx.x);
  return {tid / kWarp * kGradPairLanes + tid % kGradPairLanes, tid % kWarp / kGradPairLanes * 2};
}
__device__ inline float2 two_of(const float *from) {
  return *reinterpret_cast<const float2 *>(from);
}

/// h behind row r from h before it; w is exp(delta a), 0 where a sequence begins.
template <bool kPlain, int kR>
__device__ void step_forward(const GradTile<kR> &shared, const GradPlace &place, int r, bool start,
                             const float (&a)[kGradOwn], const float (&before)[kGradOwn],
                             float (&w)[kGradOwn], float (&h)[kGradOwn]) {
  const float4 step = shared.step[r][place.pair];
  const float2 b = two_of(shared.q.b(r) + place.state);
#pragma unroll
  for (int e = 0; e < kGradOwn; ++e) {
    w[e] = exp2_fast((e < 2 ? step.x : step.y) * a[e]);
    const bool drop = !kPlain && start;
    h[e] = (e < 2 ? step.z : step.w) * (e % 2 == 0 ? b.x : b.y) + w[e] * (drop ? 0 : before[e]);
    w[e] = drop ? 0 : w[e];
  }
}

/// v[0], v[1] over lanes `step` apart: the lower gets v[0], the upper v[1].
__device__ inline float share_lanes(float lower, float upper, int step) {
  const bool is_upper = (static_cast<int>(threadIdx.x) & step) != 0;
  return (is_upper ? upper : lower) + __shfl_xor_sync(kAll, is_upper ? lower : upper, step);
}

/// d += a b of [16, 8] and [8, 8] over a warp, factors cut to 10 bits behind the point. With g =
/// lane / 4 and i = lane % 4 a lane holds a[g][i], a[g+8][i], a[g][i+4], a[g+8][i+4]; b[i][g],
/// b[i+4][g]; d[g][2i], d[g][2i+1], d[g+8][2i], d[g+8][2i+1].
__device__ inline void multiply_tf32(float (&d)[4], const float (&a)[4], float b0, float b1) {
#ifdef __CUDACC__
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
        "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b0)), "r"(__float_as_uint(b1)));
#else  // tests/cuda
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int k = 0; k < 8; ++k) {
    const int row = lane / 4 * 4 + k % 4;
    const int column = lane % 4 * 8 + k % 4;
    const float upper = __shfl_sync(kAll, k < 4 ? a[0] : a[2], row);
    const float lower = __shfl_sync(kAll, k < 4 ? a[1] : a[3], row);
    const float left = __shfl_sync(kAll, k < 4 ? b0 : b1, column);
    const float right = __shfl_sync(kAll, k < 4 ? b0 : b1, column + 4);
    d[0] += upper * left;
    d[1] += upper * right;
    d[2] += lower * left;
    d[3] += lower * right;
  }
#endif
}

/// grad_b and grad_c of a sub-chunk over a warp's channels, to shared memory: row after row, by
/// shuffles in full precision, ...
struct ExactColumns {
  float *to;

  template <int kR>
  __device__ ExactColumns(GradTile<kR> &shared, const GradPlace &place) {
    const unsigned lane = threadIdx.x % kWarp;
    to = &shared.warps[threadIdx.x / kWarp][0][(lane & 1U) * kMixStates + ((lane & 2U) >> 1U)] +
         place.state;
  }
  __device__ void add(int k, const float (&dh)[kGradOwn], const float (&h)[kGradOwn], float2 u,
                      float2 gy) {
    const float first = share_lanes(dh[0] * u.x + dh[2] * u.y, h[0] * gy.x + h[2] * gy.y, 1);
    const float second = share_lanes(dh[1] * u.x + dh[3] * u.y, h[1] * gy.x + h[3] * gy.y, 1);
    to[k * kGradColumns] = share_lanes(first, second, 2);
  }
  __device__ void store() {}
};

/// ... or as products [states, channels] [channels, rows], each row alone in its column.
struct FastColumns {
  float *to;
  float b[4] = {};
  float c[4] = {};

  template <int kR>
  __device__ FastColumns(GradTile<kR> &shared, const GradPlace &place)
      : to(&shared.warps[threadIdx.x / kWarp][threadIdx.x % kGradPairLanes * 2][place.state]) {}
  __device__ void add(int k, const float (&dh)[kGradOwn], const float (&h)[kGradOwn], float2 u,
                      float2 gy) {
    const bool own = static_cast<int>(threadIdx.x) % kWarp / kGradPairLanes == k;
    multiply_tf32(b, dh, own ? u.x : 0, own ? u.y : 0);
    multiply_tf32(c, h, own ? gy.x : 0, own ? gy.y : 0);
  }
  __device__ void store() {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      float *const at = to + row * kGradColumns;
      *reinterpret_cast<float2 *>(at) = make_float2(b[row], b[2 + row]);
      *reinterpret_cast<float2 *>(at + kMixStates) = make_float2(c[row], c[2 + row]);
    }
  }
};

/// Eight rows: forward from shared.h, then back from `carry`.
template <bool kPlain, class Columns, int kR>
__device__ void sub_chunk(GradTile<kR> &shared, const GradPlace &place, int sub,
                          std::uint64_t starts, const float (&a)[kGradOwn],
                          float (&carry)[kGradOwn], float (&grad_a)[kGradOwn]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float h[kGradSub + 1][kGradOwn];
  float w[kGradSub][kGradOwn];
  const float4 h4 = shared.h[sub][threadIdx.x];
  h[0][0] = h4.x;
  h[0][1] = h4.y;
  h[0][2] = h4.z;
  h[0][3] = h4.w;
#pragma unroll
  for (int k = 0; k < kGradSub; ++k) {
    const int r = sub * kGradSub + k;
    step_forward<kPlain>(shared, place, r, ((starts >> r) & 1U) != 0, a, h[k], w[k], h[k + 1]);
  }
  // Of a row, over lanes of a channel: lane bit 2 tells the channel, bit 3 which of the two sums;
  // of two rows, bit 4 tells which.
  float of_two[2];
  const int sum_channel = place.pair * 2 + ((lane & 4) != 0 ? 1 : 0);
  Columns columns(shared, place);
#pragma unroll
  for (int k = kGradSub - 1; k >= 0; --k) {
    const int r = sub * kGradSub + k;
    const float4 step = shared.step[r][place.pair];
    const float2 gy = two_of(shared.gy + r * kMixChannels + place.pair * 2);
    const float2 b = two_of(shared.q.b(r) + place.state);
    const float2 c = two_of(shared.q.c(r) + place.state);
    float dh[kGradOwn];
    float dh_b[2] = {};
    float decay[2] = {};
#pragma unroll
    for (int e = 0; e < kGradOwn; ++e) {
      const int i = e / 2;
      dh[e] = (e % 2 == 0 ? c.x : c.y) * (i == 0 ? gy.x : gy.y) + carry[e];
      dh_b[i] += dh[e] * (e % 2 == 0 ? b.x : b.y);
      carry[e] = w[k][e] * dh[e];
      const bool drop = !kPlain && ((starts >> r) & 1U) != 0;
      const float kept = drop ? 0 : carry[e] * h[k][e];
      decay[i] += kept * a[e];
      grad_a[e] += kept * (i == 0 ? step.x : step.y);
    }
    columns.add(k, dh, h[k + 1], make_float2(step.z, step.w), gy);
    of_two[k % 2] =
        share_lanes(share_lanes(dh_b[0], dh_b[1], 4), share_lanes(decay[0], decay[1], 4), 8);
    if (k % 2 == 0) {
      const float sum = share_lanes(of_two[0], of_two[1], 16);
      const int row = r + ((lane & 16) != 0 ? 1 : 0);
      __syncwarp();  // all lanes have read these rows of u
      ((lane & 8) != 0 ? shared.decay_sum(row, sum_channel) : shared.u(row, sum_channel)) = sum;
    }
  }
  columns.store();
}

}  // namespace calm::cuda
