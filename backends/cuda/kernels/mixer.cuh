// Sizes, loads and functions that the mixer (fused.hpp) and its gradient share.
//
// A block is 128 threads on 32 channels of a span of chunks of 64 rows, one chunk after another;
// spans work side by side. Through a whole span a state is multiplied by exp(a * sum of delta), so
// a first launch finds what a span alone ends with, and each block of the second puts together what
// it begins with. Spans are as long as the number of blocks allows: sequences that end within one
// need no first launch.
#pragma once

#include <cuda_bf16.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include <calm/cpp/error.hpp>

#include "cuda/fused.hpp"
#include "cuda/kernels/act.cuh"
#include "cuda/kernels/selective_scan.cuh"

namespace calm::cuda {

inline constexpr int kMixChannels = 32;  // of a block
inline constexpr int kMixStates = 16;    // at most
inline constexpr int kMixRank = 12;      // at most
/// Where lanes are channels, a warp looks after every fourth row.
inline constexpr int kMixWarps = kScanThreads / kWarp;
inline constexpr int kMixEach = kChunk / kMixWarps;
inline constexpr int kMixBatch = 8;  // of those rows, loaded at a time

template <class T>
struct Mixer {
  const T *s, *q, *z;
  const float *dt_weight, *dt_bias, *a_log, *d;
  const std::int32_t *offsets;
  int s_stride, q_stride, z_stride;
  int rows, channels, states, rank, sequences, chunks;
  int span;    // chunks
  bool pairs;  // rows of q can be read two elements at a time

  __host__ __device__ std::size_t state_size() const {
    return static_cast<std::size_t>(channels) * static_cast<std::size_t>(states);
  }
  __host__ __device__ int width() const { return rank + 2 * states; }
  int spans() const { return div_up(chunks, span); }
};

template <class T>
Mixer<T> mixer_of(const Launch &launch) {
  Mixer<T> m{};
  m.s = launch.in<T>(kMixerS);
  m.q = launch.in<T>(kMixerQ);
  m.z = launch.in<T>(kMixerZ);
  m.dt_weight = launch.in<float>(kMixerDtWeight);
  m.dt_bias = launch.in<float>(kMixerDtBias);
  m.a_log = launch.in<float>(kMixerALog);
  m.d = launch.in<float>(kMixerD);
  m.offsets = launch.in<std::int32_t>(kMixerOffsets);
  m.s_stride = static_cast<int>(launch.in_stride(kMixerS));
  m.q_stride = static_cast<int>(launch.in_stride(kMixerQ));
  m.z_stride = static_cast<int>(launch.in_stride(kMixerZ));
  m.rows = launch.extent(kMixerS, 0);
  m.channels = launch.extent(kMixerS, 1);
  m.states = launch.extent(kMixerALog, 1);
  m.rank = launch.extent(kMixerDtWeight, 1);
  m.sequences = launch.extent(kMixerOffsets, 0) - 1;
  m.chunks = div_up(m.rows, kChunk);
  m.span = static_cast<int>(launch.i64(kMixerSpan));
  m.pairs = m.rank % 2 == 0 && m.states % 2 == 0 && m.q_stride % 2 == 0 &&
            reinterpret_cast<std::uintptr_t>(m.q) % (2 * sizeof(T)) == 0;
  return m;
}

/// Spans of the rows of a node.
inline std::size_t spans_of(const Node &node) {
  return div_up(div_up<std::size_t>(node.extent(kMixerS, 0), kChunk),
                static_cast<std::size_t>(node.attrs[kMixerSpan].i64));
}

/// What spans hand on, over scratch memory.
struct MixerWork {
  float *local;      // [spans, E, N]
  float *delta_sum;  // [spans, E]
  MixerWork(Scratch &scratch, const Node &node)
      : local(scratch.take<float>(spans_of(node) * count(node.ins[kMixerALog]))),
        delta_sum(scratch.take<float>(spans_of(node) * node.extent(kMixerS, 1))) {}
};

/// A block a span and 32 channels.
template <class T>
dim3 mixer_grid(const Mixer<T> &o) {
  return {static_cast<unsigned>(o.spans()),
          blocks_of(static_cast<std::size_t>(o.channels), kMixChannels)};
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

/// Calls f<T, rank>() for the type and padded rank of a node.
template <class F>
void with_mixer_types(const Node &node, const F &f) {
  const std::size_t rank = node.extent(kMixerDtWeight, 1);
  const auto typed = [&]<class T>() {
    if (rank <= 4) {
      f.template operator()<T, 4>();
    } else if (rank <= 8) {
      f.template operator()<T, 8>();
    } else {
      f.template operator()<T, kMixRank>();
    }
  };
  if (node.ins[kMixerS].dtype == CALM_BF16) {
    typed.template operator()<__nv_bfloat16>();
  } else {
    typed.template operator()<float>();
  }
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

/// The slope of softplus where it is y: 1 - e^-y.
__device__ inline float softplus_slope_at(float y) {
  float p = 1.0F / 120 - y * (1.0F / 720);
  p = p * y - 1.0F / 24;
  p = p * y + 1.0F / 6;
  p = p * y - 1.0F / 2;
  p = p * y + 1;
  const float rest = exp2_fast(-kLog2e * y);
  return y < 0.25F ? y * p : 1 - rest;
}

/// The rows of a chunk that a thread looks after where lanes are channels: every fourth from its
/// warp's number on; number k is row warp + 4 k.
struct OwnRows {
  int first;      // of the batch
  int n;          // numbers below it are rows of the batch
  unsigned live;  // bit k: the row belongs to a sequence

  /// Rows [begin, end) of the chunk are live.
  template <class T>
  __device__ OwnRows(const Mixer<T> &o, int chunk_first, int begin, int end)
      : OwnRows(o, chunk_first) {
    const int r = warp() + lane() * kMixWarps;
    live = __ballot_sync(kAll, r >= begin && r < end);
  }
  template <class T>
  __device__ OwnRows(const Mixer<T> &o, const Chunk &chunk) : OwnRows(o, chunk.first) {
    const int r = warp() + lane() * kMixWarps;
    live = __ballot_sync(kAll, lane() < kMixEach && !chunk.dead(r % kChunk));
  }

  __device__ bool is_live(int k) const { return (live >> k & 1U) != 0; }
  /// Of row 0 of a thread's rows; the next is next_row(...) bytes on.
  template <class T>
  __device__ T *at(T *base, int stride) const {
    return base + static_cast<std::ptrdiff_t>(first) * stride;
  }

  __device__ static int warp() { return static_cast<int>(threadIdx.x) / kWarp; }
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % kWarp; }

 private:
  template <class T>
  __device__ OwnRows(const Mixer<T> &o, int chunk_first)
      : first(chunk_first + warp()), n(div_by_warps(o.rows - first)), live(0) {}
  __device__ static int div_by_warps(int rows) { return (rows + kMixWarps - 1) / kMixWarps; }
};

/// A thread's k-th row of a tensor, from its row 0 and the stride of the tensor. In bytes: one
/// instruction.
template <class T>
__device__ inline T *own_row(T *row, int stride, int k) {
  using Byte = std::conditional_t<std::is_const_v<T>, const char, char>;
  const int bytes = stride * kMixWarps * static_cast<int>(sizeof(T));
  return reinterpret_cast<T *>(reinterpret_cast<Byte *>(row) +
                               static_cast<std::ptrdiff_t>(bytes) * k);
}

/// A chunk of q in shared memory, as f32, padded with zeros; zeros in rows that are not live.
template <int kR>
struct QTile {
  static constexpr int kWidth = kR + 2 * kMixStates;
  float rows[kChunk * kWidth];

  __device__ const float *dt(int r) const { return rows + r * kWidth; }
  __device__ const float *b(int r) const { return rows + r * kWidth + kR; }
  __device__ const float *c(int r) const { return rows + r * kWidth + kR + kMixStates; }

  __device__ void clear() {
    for (int i = static_cast<int>(threadIdx.x); i < kChunk * kWidth; i += kScanThreads) {
      rows[i] = 0;
    }
  }

  template <class T>
  __device__ void load(const Mixer<T> &o, const OwnRows &own) {
    if (o.pairs) {
      load_columns<typename ActPair<T>::Type, float2>(o, own, 2 * own.lane());
    } else {
      load_columns<T, float>(o, own, own.lane());
      load_columns<T, float>(o, own, own.lane() + kWarp);
    }
  }

 private:
  template <class Read, class Write, class T>
  __device__ void load_columns(const Mixer<T> &o, const OwnRows &own, int column) {
    if (column >= o.width()) {
      return;
    }
    const int behind = column - o.rank;
    const int place = behind < 0          ? column
                      : behind < o.states ? kR + behind
                                          : kR + kMixStates + behind - o.states;
    float *const to = rows + own.warp() * kWidth + place;
    const T *const from = own.at(o.q + column, o.q_stride);
#pragma unroll
    for (int k0 = 0; k0 < kMixEach; k0 += kMixBatch) {
      Write v[kMixBatch];
#pragma unroll
      for (int k = 0; k < kMixBatch; ++k) {
        v[k] = own.is_live(k0 + k)
                   ? widen(*reinterpret_cast<const Read *>(own_row(from, o.q_stride, k0 + k)))
                   : Write{};
      }
#pragma unroll
      for (int k = 0; k < kMixBatch; ++k) {
        *reinterpret_cast<Write *>(to + (k0 + k) * kMixWarps * kWidth) = v[k];
      }
    }
  }
};

/// The step size of one channel: the softplus of a row of q's first part times these, plus bias.
template <int kR>
struct StepSize {
  float w[kR];
  float bias;

  template <class T>
  __device__ StepSize(const Mixer<T> &o, int channel) {
    const bool live = channel < o.channels;
    const float *const from =
        o.dt_weight + static_cast<std::ptrdiff_t>(live ? channel : 0) * o.rank;
#pragma unroll
    for (int i = 0; i < kR; ++i) {
      w[i] = live && i < o.rank ? from[i] : 0;
    }
    bias = live ? o.dt_bias[channel] : 0;
  }

  __device__ float operator()(const float *dt) const {
    float x = bias;
#pragma unroll
    for (int i = 0; i < kR; i += 4) {
      const Four four(dt + i);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        x += four[j] * w[i + j];
      }
    }
    return softplus_fast(x);
  }
};

/// kN states of one channel, in tensors [E, N].
template <int kN>
struct Cells {
  std::size_t at;
  int n;  // that exist

  template <class T>
  __device__ Cells(const Mixer<T> &o, int channel, int state)
      : at(static_cast<std::size_t>(channel) * static_cast<std::size_t>(o.states) +
           static_cast<std::size_t>(state)),
        n(channel < o.channels ? o.states - state : 0) {}

  __device__ void load(const float *from, float *to) const {
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      to[j] = j < n ? from[at + static_cast<std::size_t>(j)] : 0;
    }
  }
  __device__ void store(const float *from, float *to) const {
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      if (j < n) {
        to[at + static_cast<std::size_t>(j)] = from[j];
      }
    }
  }
  /// a log2 e, a = -exp(a_log): exp(a delta) is 2 to the power of that times delta.
  __device__ void load_decay(const float *a_log, float *to) const {
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      to[j] = j < n ? -kLog2e * expf(a_log[at + static_cast<std::size_t>(j)]) : 0;
    }
  }
};

}  // namespace calm::cuda
