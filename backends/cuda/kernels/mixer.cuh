// Sizes, loads and functions that the mixer (fused.hpp) and its gradient share.
//
// A lane is a channel with all its states, a warp 32 channels, and a warp goes through its rows
// eight at a time: what a channel has in eight rows is in registers, and state after state goes
// through them. So sums over states are a thread's own. A block is up to four such warps on the
// same rows, a piece of the batch, whose columns of q lie in shared memory.
//
// Pieces work side by side. Through a whole piece a state is multiplied by exp(a * sum of delta),
// so a first launch finds what each piece alone ends with, a second puts together what it ends with
// after all before it, and with that the third begins (mixer_hand_on.cuh).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include <calm/cpp/error.hpp>

#include "cuda/fused.hpp"
#include "cuda/kernels/act.cuh"

namespace calm::cuda {

inline constexpr int kGroup = static_cast<int>(kMixerGroup);  // rows
inline constexpr int kMixStates = 16;                         // at most
inline constexpr int kMixRank = 12;                           // at most
inline constexpr int kMixWarps = 4;                           // of a block, at most
inline constexpr int kMixThreads = kMixWarps * kWarp;
inline constexpr int kMixPairs = kMixStates / 2;
inline constexpr int kMixTile = 16;  // rows of q in shared memory

/// A tensor [T, E] or columns of a wider one.
template <class T>
struct Rows {
  T *at;
  int stride;

  /// Of a row of the batch.
  __device__ T *row(int t) const {
    using Byte = std::conditional_t<std::is_const_v<T>, const char, char>;
    return reinterpret_cast<T *>(
        reinterpret_cast<Byte *>(at) +
        static_cast<std::size_t>(static_cast<unsigned>(t)) *  // one instruction
            (static_cast<unsigned>(stride) * static_cast<unsigned>(sizeof(T))));
  }
  /// Whether rows can be read 16 bytes at a time.
  bool is_aligned() const {
    return reinterpret_cast<std::uintptr_t>(at) % 16 == 0 &&
           static_cast<std::size_t>(stride) * sizeof(T) % 16 == 0;
  }
};

template <class T>
struct Mixer {
  Rows<const T> s, q, z;
  Rows<const float> delta;
  const float *dt_weight, *dt_bias, *a_log, *d;
  const std::int32_t *offsets;
  int rows, channels, states, rank, sequences;
  int piece;         // rows
  bool aligned;      // all tensors [T, E] are, and E is a multiple of 8
  bool pairs;        // rows of q can be read two elements at a time
  float2 *local;     // [pieces, 8, E]: pairs of states that a piece alone hands on
  float *delta_sum;  // [pieces, E]

  __host__ __device__ int width() const { return rank + 2 * states; }
  int pieces() const { return div_up(rows, piece); }
};

/// What pieces hand on, over scratch memory.
struct MixerWork {
  float2 *local;
  float *delta_sum;
  MixerWork(Scratch &scratch, const Node &node)
      : MixerWork(scratch,
                  div_up<std::size_t>(node.extent(kMixerS, 0),
                                      static_cast<std::size_t>(node.attrs[kMixerPiece].i64)),
                  node.extent(kMixerS, 1)) {}

 private:
  MixerWork(Scratch &scratch, std::size_t pieces, std::size_t channels)
      : local(scratch.take<float2>(pieces * channels * kMixPairs)),
        delta_sum(scratch.take<float>(pieces * channels)) {}
};

template <class T>
Rows<const T> rows_in(const Launch &launch, std::uint32_t i) {
  return {launch.in<T>(i), static_cast<int>(launch.in_stride(i))};
}
/// Of an absent operand: null.
template <class T>
Rows<T> rows_out(const Launch &launch, std::uint32_t i) {
  T *const at = launch.out<T>(i);
  return {at, at == nullptr ? 0 : static_cast<int>(launch.out_stride(i))};
}

template <class T>
Mixer<T> mixer_of(const Launch &launch, const MixerWork &work) {
  Mixer<T> m{};
  m.s = rows_in<T>(launch, kMixerS);
  m.q = rows_in<T>(launch, kMixerQ);
  m.z = rows_in<T>(launch, kMixerZ);
  m.dt_weight = launch.in<float>(kMixerDtWeight);
  m.dt_bias = launch.in<float>(kMixerDtBias);
  m.a_log = launch.in<float>(kMixerALog);
  m.d = launch.in<float>(kMixerD);
  m.offsets = launch.in<std::int32_t>(kMixerOffsets);
  m.rows = launch.extent(kMixerS, 0);
  m.channels = launch.extent(kMixerS, 1);
  m.states = launch.extent(kMixerALog, 1);
  m.rank = launch.extent(kMixerDtWeight, 1);
  m.sequences = launch.extent(kMixerOffsets, 0) - 1;
  m.piece = static_cast<int>(launch.i64(kMixerPiece));
  m.aligned = m.channels % 8 == 0 && m.s.is_aligned() && m.z.is_aligned();
  m.pairs = m.rank % 2 == 0 && m.states % 2 == 0 && m.q.stride % 2 == 0 &&
            reinterpret_cast<std::uintptr_t>(m.q.at) % (2 * sizeof(T)) == 0;
  m.local = work.local;
  m.delta_sum = work.delta_sum;
  return m;
}

/// Refuses what these kernels are not made for.
inline void check_mixer(const Node &node) {
  const std::size_t states = node.extent(kMixerALog, 1);
  const std::size_t rank = node.extent(kMixerDtWeight, 1);
  if (states > kMixStates || rank > kMixRank) {
    throw Error(CALM_UNSUPPORTED, "no kernel for " + node.op + " of more than " +
                                      std::to_string(kMixStates) + " states or a rank above " +
                                      std::to_string(kMixRank));
  }
}

/// Blocks: a piece each, and as many warps as leave none without channels.
struct MixerGrid {
  dim3 blocks;
  unsigned warps;

  template <class T>
  explicit MixerGrid(const Mixer<T> &o) {
    const unsigned all = blocks_of(static_cast<std::size_t>(o.channels), kWarp);
    warps = all <= kMixWarps ? all : all % kMixWarps != 0 && all % 3 == 0 ? 3 : kMixWarps;
    blocks = dim3(static_cast<unsigned>(o.pieces()), warps == 0 ? 0 : div_up(all, warps));
  }
  bool empty() const { return blocks.x == 0 || blocks.y == 0; }
  unsigned threads() const { return warps * kWarp; }
};

/// Calls f<T, rank>() for the type and padded rank of a node.
template <class F>
void with_mixer_types(const Node &node, const F &f) {
  const std::size_t rank = node.extent(kMixerDtWeight, 1);
  with_act(node.ins[kMixerS].dtype, [&]<class T>() {
    if (rank <= 4) {
      f.template operator()<T, 4>();
    } else if (rank <= 8) {
      f.template operator()<T, 8>();
    } else {
      f.template operator()<T, kMixRank>();
    }
  });
}

/// log(1 + e^x) to 1e-6 of itself: max(x, 0) + log1p(e), e = e^-|x|; log1p(e) / e is a polynomial
/// through Chebyshev's nodes of [0, 1].
__device__ inline float softplus_fast(float x) {
  const float e = exp2_fast(-kLog2e * fabsf(x));
  float p = 0.00512610236F;
  p = p * e - 0.0290740654F;
  p = p * e + 0.0775160864F;
  p = p * e - 0.136022478F;
  p = p * e + 0.190768808F;
  p = p * e - 0.248353988F;
  p = p * e + 0.333181202F;
  p = p * e - 0.499994457F;
  p = p * e + 0.99999994F;
  return p * e + fmaxf(x, 0);  // NaN by way of e
}

/// The slope of softplus where it is y, 1 - e^-y, to 1e-6 of itself or to 3e-5.
template <bool kExact>
__device__ inline float softplus_slope_at(float y) {
  float p = 1.0F / 6 - y * (1.0F / 24);
  if constexpr (kExact) {
    p += y * y * (1.0F / 120 - y * (1.0F / 720));
  }
  p = p * y - 1.0F / 2;
  p = p * y + 1;
  const float rest = exp2_fast(-kLog2e * y);
  return y < 0.25F ? y * p : 1 - rest;
}

/// A thread's place.
struct MixerPlace {
  int lane, warp;
  int first_channel;  // of the warp
  int channel;        // of the lane; the last where there is none for it
  bool live;          // there is one
  int first;          // row of the piece
  int n;              // rows

  template <class T>
  __device__ explicit MixerPlace(const Mixer<T> &o)
      : lane(static_cast<int>(threadIdx.x) % kWarp),
        warp(static_cast<int>(threadIdx.x) / kWarp),
        first_channel(static_cast<int>(blockIdx.y * blockDim.x) + warp * kWarp),
        channel(min(first_channel + lane, o.channels - 1)),
        live(first_channel + lane < o.channels),
        first(static_cast<int>(blockIdx.x) * o.piece),
        n(min(o.piece, o.rows - first)) {}
};

}  // namespace calm::cuda
