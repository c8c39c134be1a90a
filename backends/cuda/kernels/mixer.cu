// The selective scan of a block with its step sizes in front and its gate behind (fused.hpp).
#include "cuda/kernels/mixer_hand_on.cuh"

namespace calm::cuda {
namespace {

template <class T>
struct Forward : Mixer<T> {
  Rows<T> g, y;
  Rows<float> delta_out;
  Rows<typename ActPair<T>::Type> states_before;  // null: not asked for
};

/// The step sizes of one channel: softplus of a row of q's first part times these, plus bias.
template <int kR>
struct StepSize {
  float w[kR];
  float bias;

  template <class T>
  __device__ StepSize(const Mixer<T> &o, const MixerPlace &place) : bias(o.dt_bias[place.channel]) {
    const float *const from = o.dt_weight + static_cast<std::ptrdiff_t>(place.channel) * o.rank;
#pragma unroll
    for (int i = 0; i < kR; ++i) {
      w[i] = i < o.rank ? from[i] : 0;
    }
  }

  template <class T>
  __device__ void of(const QTile<kR, T> &q, int row, const Group &group,
                     float (&delta)[kGroup]) const {
#pragma unroll
    for (int k = 0; k < kGroup; ++k) {
      delta[k] = bias;
    }
#pragma unroll
    for (int i = 0; i < kR; ++i) {
      float dt[kGroup];
      load_eight(q.dt(i, row), dt);
#pragma unroll
      for (int k = 0; k < kGroup; ++k) {
        delta[k] += dt[k] * w[i];
      }
    }
#pragma unroll
    for (int k = 0; k < kGroup; ++k) {
      delta[k] = group.is_live(k) ? softplus_fast(delta[k]) : 0;
    }
  }
};

/// A warp's shared memory in the first launch.
template <class T>
struct LocalRows {
  LanePairs a, h;
  WarpRows<T> s;
  WarpRows<float> delta;
};

/// Step sizes of all rows, and what a piece alone leaves of a sequence that goes on behind it.
template <int kR, class T>
__global__ void __launch_bounds__(kMixThreads, 6) local_kernel(Forward<T> o) {
  __shared__ __align__(8) Piece piece;
  __shared__ QTile<kR, T> q;
  __shared__ LocalRows<T> warps[kMixWarps];
  const MixerPlace place(o);
  LocalRows<T> &warp = warps[place.warp];
  const LiveRows live(o);
  const StepSize<kR> size(o, place);
  q.fetch(o, place, place.first, live);
  end_batch();
  load_decay(o, place, warp.a);
  clear(warp.h, place);
  piece.load(o, place);
  const bool goes_on = piece.goes_on(place);
  const int begin = goes_on ? piece.last_begin : o.rows;  // of the rows that are handed on
  float sum = 0;
#pragma unroll 1
  for (int first = 0; first < place.n; first += kGroup) {
    const int row = first % kMixTile;
    if (row == 0) {
      const int next = first + kMixTile;
      q.turn(o, place, live, place.first + next, next < place.n);
    }
    const Group group(o, place, first / kGroup, live.begin, live.end);
    const Group own(o, place, first / kGroup, begin, live.end);
    if (own.live != 0) {
      begin_fetches(o, place, own.first, own.live, Fetch<T>{warp.s, o.s});
      end_batch();
    }
    float delta[kGroup];
    size.of(q, row, group, delta);
    warp.delta.store(o, o.delta_out, place, group, delta);
    if (own.live == 0) {
      continue;
    }
    wait_for_fetches();
    float u[kGroup];
    warp.s.get(place, u);
    __syncwarp();
#pragma unroll
    for (int k = 0; k < kGroup; ++k) {
      delta[k] = own.is_live(k) ? delta[k] : 0;
      u[k] *= delta[k];
      sum += delta[k];
    }
#pragma unroll 1
    for (int pair = 0; pair < kMixPairs; ++pair) {
      const float2 a = warp.a[pair][place.lane];
      float2 h = warp.h[pair][place.lane];
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float b[kGroup];
        load_eight(q.b(2 * pair + e, row), b);
#pragma unroll
        for (int k = 0; k < kGroup; ++k) {
          part(h, e) = exp2_fast(delta[k] * part(a, e)) * part(h, e) + u[k] * b[k];
        }
      }
      warp.h[pair][place.lane] = h;
    }
  }
  if (goes_on) {
    store_alone(o, place, warp.h, sum);
  }
}

/// A warp's shared memory in the last launch.
template <class T>
struct ScanRows {
  LanePairs a, h;
  WarpRows<T> s, z, g, y;
  WarpRows<float> delta;

  __device__ void fetch(const Forward<T> &o, const MixerPlace &place, const Group &group) {
    begin_fetches(o, place, group.first, group.live, Fetch<T>{s, o.s}, Fetch<T>{z, o.z},
                  Fetch<float>{delta, o.delta});
  }
};

/// Through eight rows: adds to y all but the skip. `to`: where the states before them are kept.
template <bool kPlain, int kR, class T, class Pair>
__device__ void scan_rows(ScanRows<T> &own, const QTile<kR, T> &q, int row, const Starts &starts,
                          const float (&delta)[kGroup], const float (&u)[kGroup],
                          float (&y)[kGroup], Pair *to, int pairs, int stride) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll 1
  for (int pair = 0; pair < kMixPairs; ++pair) {
    const float2 a = own.a[pair][lane];
    float2 h = own.h[pair][lane];
    if (pair < pairs) {
      store_act(to, h);
      to += stride;
    }
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      float b[kGroup];
      float c[kGroup];
      load_eight(q.b(2 * pair + e, row), b);
      load_eight(q.c(2 * pair + e, row), c);
#pragma unroll
      for (int k = 0; k < kGroup; ++k) {
        const float before = !kPlain && starts.at(k) ? 0 : part(h, e);
        part(h, e) = exp2_fast(delta[k] * part(a, e)) * before + u[k] * b[k];
        y[k] += c[k] * part(h, e);
      }
    }
    own.h[pair][lane] = h;
  }
}

template <int kR, class T>
__global__ void __launch_bounds__(kMixThreads, 6) scan_kernel(Forward<T> o) {
  __shared__ __align__(8) Piece piece;
  __shared__ QTile<kR, T> q;
  __shared__ ScanRows<T> warps[kMixWarps];
  const MixerPlace place(o);
  ScanRows<T> &own = warps[place.warp];
  const LiveRows live(o);
  own.fetch(o, place, Group(o, place, 0, live.begin, live.end));
  q.fetch(o, place, place.first, live);
  end_batch();
  load_decay(o, place, own.a);
  const float skip = o.d[place.channel];
  piece.load(o, place);
  if (piece.continues(place)) {
    load_handed(o, place, static_cast<int>(blockIdx.x) - 1, own.h);
  } else {
    clear(own.h, place);
  }
  const int pairs = o.states_before.at != nullptr && place.live ? pairs_of(o) : 0;
#pragma unroll 1
  for (int first = 0; first < place.n; first += kGroup) {
    const int row = first % kMixTile;
    if (row == 0) {
      const int next = first + kMixTile;
      q.turn(o, place, live, place.first + next, next < place.n);
    }
    const int number = first / kGroup;
    const Group group(o, place, number, live.begin, live.end);
    const Starts starts(piece, number);
    float delta[kGroup];
    float s[kGroup];
    float z[kGroup];
    wait_for_fetches();
    own.delta.get(place, delta);
    own.s.get(place, s);
    own.z.get(place, z);
    __syncwarp();
    if (first + kGroup < place.n) {
      own.fetch(o, place, Group(o, place, number + 1, live.begin, live.end));
      end_batch();
    }
    float u[kGroup];
    float y[kGroup];
#pragma unroll
    for (int k = 0; k < kGroup; ++k) {
      u[k] = delta[k] * s[k];
      y[k] = skip * s[k];
    }
    auto *const to = o.states_before.row(group.first / kGroup * pairs_of(o)) + place.channel;
    if (starts.any()) {
      scan_rows<false>(own, q, row, starts, delta, u, y, to, pairs, o.channels);
    } else {
      scan_rows<true>(own, q, row, starts, delta, u, y, to, pairs, o.channels);
    }
    float g[kGroup];
#pragma unroll
    for (int k = 0; k < kGroup; ++k) {
      g[k] = y[k] * (bounded_below(z[k]) * sigmoid_fast(z[k]));
    }
    own.g.store(o, o.g, place, group, g);
    if (o.y.at != nullptr) {
      own.y.store(o, o.y, place, group, y);
    }
  }
}

template <class T, int kR>
void run(const Launch &launch) {
  Scratch scratch(launch.scratch());
  Forward<T> o{};
  static_cast<Mixer<T> &>(o) = mixer_of<T>(launch, MixerWork(scratch, launch.node()));
  o.g = rows_out<T>(launch, kMixerG);
  o.y = rows_out<T>(launch, kMixerY);
  o.states_before = {launch.out<typename ActPair<T>::Type>(kMixerStates), o.channels};
  o.delta_out = rows_out<float>(launch, kMixerDelta);
  o.delta = {o.delta_out.at, o.delta_out.stride};
  o.aligned = o.aligned && o.g.is_aligned() && o.y.is_aligned() && o.delta.is_aligned();
  const MixerGrid grid(o);
  if (grid.empty()) {
    return;
  }
  local_kernel<kR, T><<<grid.blocks, grid.threads(), 0, launch.stream()>>>(o);
  hand_on<false, T>(o, launch.stream());
  scan_kernel<kR, T><<<grid.blocks, grid.threads(), 0, launch.stream()>>>(o);
}

}  // namespace

std::size_t mixer_plan(const Node &node) {
  check_mixer(node);
  Scratch scratch;
  const MixerWork work(scratch, node);
  return scratch.used();
}

void mixer(const Launch &launch) {
  with_mixer_types(launch.node(), [&]<class T, int kR>() { run<T, kR>(launch); });
}

}  // namespace calm::cuda
