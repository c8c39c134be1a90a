// Sizes, loads and functions that the mixer (fused.hpp) and its gradient share.
//
// A lane is a channel with all its states, a warp 32 channels, and a warp goes through its rows
// eight at a time: what a channel has in eight rows is in registers, and state after state goes
// through them. So sums over states are a thread's own. A block is up to four such warps on the
// same rows, a piece of the batch, whose columns of q lie in shared memory.
//
// Pieces work side by side. Through a whole piece a state is multiplied by exp(a * sum of delta),
// so a first launch finds what a piece alone ends with, and each block of the second puts together
// what it begins with.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
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

/// Where the sequences of a piece begin and end; in shared memory. A row that belongs to none has
/// no sequence: -1. Offsets that are no offsets of this batch are clipped, so that nothing is read
/// or written outside it.
struct Piece {
  int first_begin, first_end;  // of the first row's sequence
  int last_begin, last_end;
  unsigned char starts[kMixerMostRows];  // row r begins a sequence

  template <class T>
  __device__ void load(const Mixer<T> &o, const MixerPlace &place) {
    const int threads = static_cast<int>(blockDim.x);
    const int tid = static_cast<int>(threadIdx.x);
    for (int r = tid; r < o.piece; r += threads) {
      starts[r] = 0;
    }
    if (tid == 0) {
      first_begin = first_end = last_begin = last_end = -1;
    }
    __syncthreads();
    const int last = place.first + place.n - 1;
    for (int i = tid; i < o.sequences; i += threads) {
      const int begin = max(o.offsets[i], 0);
      const int end = min(o.offsets[i + 1], o.rows);
      if (begin >= end || end <= place.first || begin > last) {
        continue;
      }
      if (begin >= place.first) {
        starts[begin - place.first] = 1;
      }
      if (begin <= place.first) {
        first_begin = begin;
        first_end = end;
      }
      if (end > last) {
        last_begin = begin;
        last_end = end;
      }
    }
    __syncthreads();
  }

  /// Whether the first row's sequence began before the piece.
  __device__ bool continues(const MixerPlace &place) const {
    return first_begin >= 0 && first_begin < place.first;
  }
  /// Whether the last row's sequence has rows behind the piece.
  __device__ bool goes_on(const MixerPlace &place) const {
    return last_end > place.first + place.n;
  }
};

/// Eight rows of the batch from `first` on.
struct Group {
  int first;
  int n;          // that are rows of the batch
  unsigned live;  // bit k: row k is to be looked at

  /// Rows [begin, end) of the batch are live.
  template <class T>
  __device__ Group(const Mixer<T> &o, const MixerPlace &place, int number, int begin, int end)
      : first(place.first + number * kGroup), n(min(o.rows - first, kGroup)) {
    const unsigned above = (1U << min(max(end - first, 0), kGroup)) - 1;
    live = above & ~((1U << min(max(begin - first, 0), kGroup)) - 1);
  }
  __device__ bool is_live(int k) const { return (live >> k & 1U) != 0; }
};

/// Which of eight rows begin a sequence.
struct Starts {
  uint2 bytes;
  __device__ Starts(const Piece &piece, int number)
      : bytes(*reinterpret_cast<const uint2 *>(piece.starts + number * kGroup)) {}
  __device__ bool any() const { return (bytes.x | bytes.y) != 0; }
  __device__ bool at(int k) const { return ((k < 4 ? bytes.x : bytes.y) >> k % 4 * 8 & 1U) != 0; }
};

/// kBytes from global to shared memory, or zeros; there for the thread itself once
/// wait_for_fetches() has returned, for others of the warp too.
template <int kBytes>
__device__ inline void fetch_bytes(void *to, const void *from, bool is_live) {
#ifdef __CUDACC__
  const auto at = static_cast<unsigned>(__cvta_generic_to_shared(to));
  const int n = is_live ? kBytes : 0;
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(n)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(at), "l"(from), "n"(kBytes),
                 "r"(n)
                 : "memory");
  }
#else  // tests/cuda
  std::memset(to, 0, kBytes);
  if (is_live) {
    std::memcpy(to, from, kBytes);
  }
#endif
}
/// Fetches begun since the last call are a batch.
__device__ inline void end_batch() {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
/// For all batches but the last kPending.
template <int kPending = 0>
__device__ inline void wait_for_fetches() {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
  __syncwarp();
}

__device__ inline void copy_16(void *to, const void *from) {
  std::memcpy(__builtin_assume_aligned(to, 16), __builtin_assume_aligned(from, 16), 16);
}

/// Eight rows of a warp's channels in shared memory.
template <class T>
struct WarpRows {
  static constexpr int kEach = 16 / static_cast<int>(sizeof(T));  // elements read at a time
  static constexpr int kParts = kWarp / kEach;                    // of a row
  __align__(16) T at[kGroup][kWarp];

  /// Begins to read rows of a tensor from `first` on, of which bit k of live says whether row k is
  /// to be read; zeros elsewhere.
  template <class O>
  __device__ void fetch(const O &o, const Rows<const T> &from, const MixerPlace &place, int first,
                        unsigned live) {
    if (o.aligned) {
#pragma unroll
      for (int i = 0; i < kGroup * kParts; i += kWarp) {
        const int row = (place.lane + i) / kParts;
        const int column = (place.lane + i) % kParts * kEach;
        fetch_bytes<16>(&at[row][column], from.row(first + row) + (place.first_channel + column),
                        (live >> row & 1U) != 0 && place.first_channel + column < o.channels);
      }
      return;
    }
#pragma unroll 1
    for (int k = 0; k < kGroup; ++k) {
      at[k][place.lane] =
          (live >> k & 1U) != 0 && place.live ? from.row(first + k)[place.channel] : T{};
    }
  }
  template <class O>
  __device__ void fetch(const O &o, const Rows<const T> &from, const MixerPlace &place,
                        const Group &group) {
    fetch(o, from, place, group.first, group.live);
  }
  /// Of the lane's channel.
  __device__ void get(const MixerPlace &place, float (&to)[kGroup]) const {
#pragma unroll
    for (int k = 0; k < kGroup; ++k) {
      to[k] = widen(at[k][place.lane]);
    }
  }
  /// Writes rows of the batch, where the lane's channel has these.
  template <class O>
  __device__ void store(const O &o, const Rows<T> &to, const MixerPlace &place, const Group &group,
                        const float (&own)[kGroup]) {
#pragma unroll
    for (int k = 0; k < kGroup; ++k) {
      at[k][place.lane] = narrow_to<T>(own[k]);
    }
    if (o.aligned) {
      __syncwarp();
#pragma unroll
      for (int i = 0; i < kGroup * kParts; i += kWarp) {
        const int row = (place.lane + i) / kParts;
        const int column = (place.lane + i) % kParts * kEach;
        if (row < group.n && place.first_channel + column < o.channels) {
          copy_16(to.row(group.first + row) + (place.first_channel + column), &at[row][column]);
        }
      }
      __syncwarp();
      return;
    }
#pragma unroll 1
    for (int k = 0; k < group.n; ++k) {
      if (place.live) {
        to.row(group.first + k)[place.channel] = at[k][place.lane];
      }
    }
  }
};

/// Rows that belong to sequences.
struct LiveRows {
  int begin, end;
  template <class T>
  __device__ explicit LiveRows(const Mixer<T> &o)
      : begin(o.sequences > 0 ? max(o.offsets[0], 0) : 0),
        end(o.sequences > 0 ? min(o.offsets[o.sequences], o.rows) : 0) {}
};

/// States before every 8th row: rows of pairs of a channel's, as many for each.
template <class T>
__host__ __device__ inline int pairs_of(const Mixer<T> &o) {
  return (o.states + 1) / 2;
}

/// Eight numbers that lie one after another, 16 bytes aligned.
__device__ inline void load_eight(const float *from, float (&to)[kGroup]) {
  static_assert(kGroup == 8);
#pragma unroll
  for (int k = 0; k < kGroup; k += 4) {
    const float4 four = *reinterpret_cast<const float4 *>(from + k);
    to[k] = four.x;
    to[k + 1] = four.y;
    to[k + 2] = four.z;
    to[k + 3] = four.w;
  }
}

/// Rows of q in shared memory, as f32, column after column, padded with zeros; zeros in rows that
/// are not live.
template <int kR, class T, int kRows = kMixTile>
struct QTile {
  static constexpr int kWidth = kR + 2 * kMixStates;
  static constexpr int kStride = kRows + 4;
  __align__(16) float columns[kWidth][kStride];
  typename ActPair<T>::Type raw[kRows][kWidth / 2];

  __device__ const float *dt(int i, int row) const { return &columns[i][row]; }
  __device__ const float *b(int n, int row) const { return &columns[kR + n][row]; }
  __device__ const float *c(int n, int row) const { return &columns[kR + kMixStates + n][row]; }

  /// Begins to read rows from `first` on; by all threads of a block.
  __device__ void fetch(const Mixer<T> &o, const MixerPlace &place, int first,
                        const LiveRows &live) {
    if (place.lane >= kWidth / 2) {
      return;
    }
    const int warps = static_cast<int>(blockDim.x) / kWarp;
    const int at = 2 * place.lane;
    const int n = (at - kR) % kMixStates;
    const int column = at < kR ? at : at < kR + kMixStates ? o.rank + n : o.rank + o.states + n;
    const int exist = at < kR ? o.rank - at : o.states - n;  // of the two columns
    const T *from = o.q.at + static_cast<std::ptrdiff_t>(first + place.warp) * o.q.stride + column;
    for (int row = place.warp; row < kRows; row += warps) {
      const bool is_live = first + row >= live.begin && first + row < live.end;
      if (o.pairs) {
        fetch_bytes<2 * sizeof(T)>(&raw[row][place.lane], from, is_live && exist > 0);
      } else {
        raw[row][place.lane] = narrow_pair<typename ActPair<T>::Type>(
            is_live && exist > 0 ? widen(from[0]) : 0, is_live && exist > 1 ? widen(from[1]) : 0);
      }
      from += static_cast<std::ptrdiff_t>(warps) * o.q.stride;
    }
  }
  /// Once they are there: each thread those it has fetched itself.
  __device__ void unpack(const MixerPlace &place) {
    const int warps = static_cast<int>(blockDim.x) / kWarp;
    if (place.lane < kWidth / 2) {
      for (int row = place.warp; row < kRows; row += warps) {
        const float2 two = widen(raw[row][place.lane]);
        columns[2 * place.lane][row] = two.x;
        columns[2 * place.lane + 1][row] = two.y;
      }
    }
  }
};

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
/// blockIdx.y the sequence, from its first piece on or, going back, from its last.
template <bool kBack, class T>
__global__ void __launch_bounds__(kMixThreads) hand_on_kernel(Mixer<T> o) {
  constexpr int kAtOnce = 8;  // pieces whose numbers are under way
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
  const auto size = static_cast<std::ptrdiff_t>(o.channels) * kMixPairs;
  float2 *const local = o.local + (pair * o.channels + channel);
  float2 h = make_float2(0, 0);
#pragma unroll 1
  for (int done = 0; done < n; done += kAtOnce) {
    float sum[kAtOnce];
    float2 alone[kAtOnce];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      const int i = min(done + j, n - 1);
      const int piece = kBack ? first - i : first + i;
      sum[j] = o.delta_sum[piece * o.channels + channel];
      alone[j] = local[piece * size];
    }
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if (done + j < n) {
        h.x = alone[j].x + exp2_fast(a.x * sum[j]) * h.x;
        h.y = alone[j].y + exp2_fast(a.y * sum[j]) * h.y;
        local[(kBack ? first - done - j : first + done + j) * size] = h;
      }
    }
  }
}

/// Behind the launch that leaves what each piece alone hands on.
template <bool kBack, class T>
void hand_on(const Mixer<T> &o, cudaStream_t stream) {
  const dim3 blocks(blocks_of(static_cast<std::size_t>(o.channels) * kMixPairs, kMixThreads),
                    static_cast<unsigned>(o.sequences));
  if (o.pieces() > 2 && o.sequences > 0) {
    hand_on_kernel<kBack, T><<<blocks, kMixThreads, 0, stream>>>(o);
  }
}

}  // namespace calm::cuda
