// What a block and a warp of the mixer and its gradient read and write: where sequences begin,
// eight rows of a warp's channels, rows of q.
#pragma once

#include <cstring>

#include "cuda/kernels/mixer.cuh"

namespace calm::cuda {

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

/// Eight rows of a warp's channels in shared memory.
template <class T>
struct WarpRows {
  static constexpr int kEach = 16 / static_cast<int>(sizeof(T));  // elements read at a time
  static constexpr int kParts = kWarp / kEach;                    // of a row
  __align__(16) T at[kGroup][kWarp];

  /// Begins to read a lane's share of rows of a tensor from `first` on, of which bit k of live says
  /// whether row k is to be read; zeros elsewhere. Of a batch that is `aligned`.
  template <class O>
  __device__ void fetch_share(const O &o, const Rows<const T> &from, const MixerPlace &place,
                              int first, unsigned live) {
#pragma unroll
    for (int i = 0; i < kGroup * kParts; i += kWarp) {
      const int row = (place.lane + i) / kParts;
      const int column = (place.lane + i) % kParts * kEach;
      fetch_bytes<16>(&at[row][column], from.row(first + row) + (place.first_channel + column),
                      (live >> row & 1U) != 0 && place.first_channel + column < o.channels);
    }
  }
  /// The same of any batch, the lane's channel; there at once.
  __device__ void read(const Rows<const T> &from, const MixerPlace &place, int first,
                       unsigned live) {
#pragma unroll 1
    for (int k = 0; k < kGroup; ++k) {
      at[k][place.lane] =
          (live >> k & 1U) != 0 && place.live ? from.row(first + k)[place.channel] : T{};
    }
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

/// Rows of a tensor, and where they are to be.
template <class T>
struct Fetch {
  WarpRows<T> &to;
  const Rows<const T> &from;
};

/// Begins to read rows of tensors from `first` on, of which bit k of live says whether row k is to
/// be read; zeros elsewhere. All tensors in one go, so that what their addresses share is computed
/// once.
template <class O, class... T>
__device__ inline void begin_fetches(const O &o, const MixerPlace &place, int first, unsigned live,
                                     const Fetch<T> &...fetches) {
  if (o.aligned) {
    (fetches.to.fetch_share(o, fetches.from, place, first, live), ...);
  } else {
    (fetches.to.read(fetches.from, place, first, live), ...);
  }
}

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

  /// The column of q that column i here is.
  static __device__ int column(const Mixer<T> &o, int i) {
    const int n = (i - kR) % kMixStates;
    return i < kR ? i : i < kR + kMixStates ? o.rank + n : o.rank + o.states + n;
  }
  /// Columns from that one on that its part of q has; if none, there is no such column.
  static __device__ int left(const Mixer<T> &o, int i) {
    return i < kR ? o.rank - i : o.states - (i - kR) % kMixStates;
  }

  /// Begins to read rows from `first` on; by all threads of a block.
  __device__ void fetch(const Mixer<T> &o, const MixerPlace &place, int first,
                        const LiveRows &live) {
    if (place.lane >= kWidth / 2) {
      return;
    }
    const int warps = static_cast<int>(blockDim.x) / kWarp;
    const int at = 2 * place.lane;
    const int exist = left(o, at);
    const T *from =
        o.q.at + static_cast<std::ptrdiff_t>(first + place.warp) * o.q.stride + column(o, at);
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
  /// When nobody reads the rows here any more: those that were fetched, for all threads of the
  /// block, each of which calls this. Begins to fetch those from `next` on, if there are `more`.
  __device__ void turn(const Mixer<T> &o, const MixerPlace &place, const LiveRows &live, int next,
                       bool more) {
    wait_for_fetches();
    __syncthreads();
    unpack(place);
    if (more) {
      fetch(o, place, next, live);
      end_batch();
    }
    __syncthreads();
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

}  // namespace calm::cuda
