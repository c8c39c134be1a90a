// What mixer_grad.cu keeps in shared memory, and how it goes forward and back through eight rows.
#pragma once

#include <type_traits>

#include "cuda/kernels/mixer_hand_on.cuh"

namespace calm::cuda {

inline constexpr float kLn2 = 0.693147181F;
inline constexpr int kHalf = kMixStates / 2;  // states whose sums over channels are under way

/// d = a b + c of [16, 8] and [8, 8] over a warp, factors cut to 10 bits behind the point. With g =
/// lane / 4 and i = lane % 4 a lane holds a[g][i], a[g+8][i], a[g][i+4], a[g+8][i+4]; b[i][g],
/// b[i+4][g]; d[g][2i], d[g][2i+1], d[g+8][2i], d[g+8][2i+1].
__device__ inline void multiply_tf32(float4 &d, const float4 &a, float2 b, const float4 &c) {
#ifdef __CUDACC__
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%10, %11, %12, %13};"
      : "=f"(d.x), "=f"(d.y), "=f"(d.z), "=f"(d.w)
      : "r"(__float_as_uint(a.x)), "r"(__float_as_uint(a.y)), "r"(__float_as_uint(a.z)),
        "r"(__float_as_uint(a.w)), "r"(__float_as_uint(b.x)), "r"(__float_as_uint(b.y)), "f"(c.x),
        "f"(c.y), "f"(c.z), "f"(c.w));
#else  // tests/cuda
  const auto cut = [](float x) { return __uint_as_float(__float_as_uint(x) & 0xffffe000U); };
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  d = c;
  for (int k = 0; k < 8; ++k) {
    const int row = lane / 4 * 4 + k % 4;
    const int column = lane % 4 * 8 + k % 4;
    const float upper = cut(__shfl_sync(kAll, k < 4 ? a.x : a.z, row));
    const float lower = cut(__shfl_sync(kAll, k < 4 ? a.y : a.w, row));
    const float left = cut(__shfl_sync(kAll, k < 4 ? b.x : b.y, column));
    const float right = cut(__shfl_sync(kAll, k < 4 ? b.x : b.y, column + 4));
    d.x += upper * left;
    d.y += upper * right;
    d.z += lower * left;
    d.w += lower * right;
  }
#endif
}

/// What cutting leaves behind.
__device__ inline float cut_off(float x) {
  return x - __uint_as_float(__float_as_uint(x) & 0xffffe000U);
}
__device__ inline float4 cut_off(const float4 &x) {
  return make_float4(cut_off(x.x), cut_off(x.y), cut_off(x.z), cut_off(x.w));
}

/// d += a b; exactly: to 21 bits.
template <bool kExact>
__device__ inline void multiply(float4 &d, const float4 &a, float2 b) {
  if constexpr (kExact) {
    multiply_tf32(d, cut_off(a), b, d);
    multiply_tf32(d, a, make_float2(cut_off(b.x), cut_off(b.y)), d);
  }
  multiply_tf32(d, a, b, d);
}

/// Sums over a warp's channels by the matrix unit: a matrix of a row for each four lanes, times
/// ones in the two columns that the numbers go to.
struct Selection {
  float of[kGroup];  // 1 in lanes whose lane / 4 is the number
  __device__ explicit Selection(int lane) {
#pragma unroll
    for (int k = 0; k < kGroup; ++k) {
      of[k] = lane / 4 == k ? 1 : 0;
    }
  }
  /// Adds four numbers a lane, v[k], to columns 2 number and 2 number + 1 of `sums`; in the end a
  /// lane has the four of number lane % 4, summed over the lanes of its lane / 4.
  template <bool kExact>
  __device__ void add(int number, const float4 &v, const float4 &before, float4 &sums) const {
    const float4 a = make_float4(v.x, v.z, v.y, v.w);
    const float2 b = make_float2(of[2 * number], of[2 * number + 1]);
    multiply_tf32(sums, a, b, before);
    if constexpr (kExact) {
      multiply_tf32(sums, cut_off(a), b, sums);
    }
  }
};

/// A warp's shared memory.
template <int kR, class T>
struct GradWarp {
  static constexpr int kTiles = (kR + 7) / 8;               // of the matrix unit
  static constexpr int kLastLanes = kR % 8 == 0 ? 32 : 16;  // that the last tile fills
  LanePairs a;                                              // a log2 e
  LanePairs carry;                                          // w dh of the row behind
  LanePairs grad_a;
  float4 weights[2 * ((kTiles - 1) * kWarp + kLastLanes)];  // as the matrix unit has them
  WarpRows<T> s;
  union {
    struct {
      float4 parts[kHalf][8][4];  // of sums over channels: [state][lane / 4][four numbers]
      WarpRows<typename ActPair<T>::Type> before;  // states, a pair a row
    };
    struct {
      /// Sums over the warp's channels: rows of a column of q one after another.
      float columns[QTile<kR, T>::kWidth][kGroup];
      float pre[kGroup][kWarp + 4];  // gradient of the step sizes before the softplus
      WarpRows<T> z, y, grad;        // the next eight rows'
      WarpRows<float> delta;
    };
  };

  /// A lane's four of the gradient of dt_weight: of a tile of 8 columns, of half the channels.
  __device__ float4 &grad_weight(int tile, int half, int lane) {
    return weights[place_of_weights(tile, half, lane)];
  }
  __device__ const float4 &grad_weight(int tile, int half, int lane) const {
    return weights[place_of_weights(tile, half, lane)];
  }
  /// Whether that lane has any: the last tile may be half as wide.
  __device__ static bool has_weights(int tile, int lane) {
    return tile + 1 < kTiles || kLastLanes == kWarp || lane % 4 < 2;
  }

  template <class O>
  __device__ void fetch(const O &o, const MixerPlace &place, const Group &group) {
    begin_fetches(o, place, group.first, group.live, Fetch<T>{s, o.s}, Fetch<T>{z, o.z},
                  Fetch<T>{y, o.y}, Fetch<T>{grad, o.grad}, Fetch<float>{delta, o.delta});
  }

 private:
  __device__ static int place_of_weights(int tile, int half, int lane) {
    return tile + 1 < kTiles || kLastLanes == kWarp
               ? (2 * tile + half) * kWarp + lane
               : 2 * tile * kWarp + half * kLastLanes + lane / 4 * 2 + lane % 2;
  }
};

template <int kR, class T>
struct GradShared {
  QTile<kR, T, kGroup> q;
  Piece piece;
  GradWarp<kR, T> warps[1];  // as many as the block has

  static constexpr std::size_t size(unsigned warps) {
    return sizeof(GradShared) + (warps - 1) * sizeof(GradWarp<kR, T>);
  }
};

/// What a lane has in eight rows.
struct GradRows {
  float delta[kGroup], u[kGroup], gy[kGroup];  // u = delta s
  float dh_b[kGroup], decay[kGroup];           // sums over states of dh b, and of dh w h[t-1] a
};

/// Forward through eight rows from own.before, then back from own.carry: one state after another.
/// Returns sums over the warp's channels: states 8 half + lane / 4, four numbers from 4 (lane % 4)
/// on of eight rows of grad_b and eight of grad_c.
template <int kHalfNumber, bool kPlain, int kR, class T>
__device__ float4 go_back(GradWarp<kR, T> &own, const QTile<kR, T, kGroup> &q, const Starts &starts,
                          const Selection &selection, GradRows &rows) {
  constexpr bool kExact = std::is_same_v<T, float>;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll 1
  for (int i = 0; i < kHalf / 2; ++i) {
    const int pair = kHalfNumber * kHalf / 2 + i;
    const float2 a = own.a[pair][lane];
    float2 carry = own.carry[pair][lane];
    float2 grad_a = own.grad_a[pair][lane];
    const float2 h_before = widen(own.before.at[pair][lane]);
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      float h[kGroup + 1];
      float w[kGroup];
      h[0] = part(h_before, e);
      float b[kGroup];
      load_eight(q.b(2 * pair + e, 0), b);
#pragma unroll
      for (int k = 0; k < kGroup; ++k) {
        const bool start = !kPlain && starts.at(k);
        w[k] = exp2_fast(rows.delta[k] * part(a, e));
        h[k + 1] = rows.u[k] * b[k] + w[k] * (start ? 0 : h[k]);
        w[k] = start ? 0 : w[k];
      }
      float c[kGroup];
      load_eight(q.c(2 * pair + e, 0), c);
      float grad_b[kGroup];
      float grad_c[kGroup];
#pragma unroll
      for (int k = kGroup - 1; k >= 0; --k) {
        const float dh = c[k] * rows.gy[k] + part(carry, e);
        rows.dh_b[k] += dh * b[k];
        part(carry, e) = w[k] * dh;
        const float kept = !kPlain && starts.at(k) ? 0 : part(carry, e) * h[k];
        rows.decay[k] += kept * part(a, e);
        part(grad_a, e) += kept * rows.delta[k];
        grad_b[k] = dh * rows.u[k];
        grad_c[k] = h[k + 1] * rows.gy[k];
      }
      float4 sums;
      selection.add<kExact>(1, make_float4(grad_b[4], grad_b[5], grad_b[6], grad_b[7]),
                            make_float4(0, 0, 0, 0), sums);
      selection.add<kExact>(3, make_float4(grad_c[4], grad_c[5], grad_c[6], grad_c[7]), sums, sums);
      selection.add<kExact>(0, make_float4(grad_b[0], grad_b[1], grad_b[2], grad_b[3]), sums, sums);
      selection.add<kExact>(2, make_float4(grad_c[0], grad_c[1], grad_c[2], grad_c[3]), sums, sums);
      own.parts[2 * i + e][lane / 4][lane % 4] = sums;
    }
    own.carry[pair][lane] = carry;
    own.grad_a[pair][lane] = grad_a;
  }
  __syncwarp();
  const int p = lane / 4;
  float4 sum = own.parts[p][p][lane % 4];  // lanes begin with different banks
#pragma unroll
  for (int g = 1; g < 8; ++g) {
    const float4 part = own.parts[p][(p + g) % 8][lane % 4];
    sum.x += part.x;
    sum.y += part.y;
    sum.z += part.z;
    sum.w += part.w;
  }
  __syncwarp();
  return sum;
}

}  // namespace calm::cuda
