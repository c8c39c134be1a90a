// How mixer_grad.cu goes back through the projection that step sizes come from, by the matrix unit.
#pragma once

#include <type_traits>

#include "cuda/kernels/mixer_grad.cuh"

namespace calm::cuda {

/// A lane's numbers of dt_weight as the matrix unit takes them: of tiles of 8 columns, of channels
/// 8 j + i and 8 j + i + 4 of the warp, i = lane % 4.
template <int kTiles>
struct StepWeights {
  float2 of[kTiles][kWarp / 8];

  template <class T>
  __device__ StepWeights(const Mixer<T> &o, const MixerPlace &place) {
    const int first = place.first_channel + place.lane % 4;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const float *const from = o.dt_weight + min(8 * tile + place.lane / 4, o.rank - 1);
      if (place.first_channel + kWarp <= o.channels) {
        const float *at = from + first * o.rank;
#pragma unroll
        for (float2 &two : of[tile]) {
          two.x = *at;
          at += 4 * o.rank;
          two.y = *at;
          at += 4 * o.rank;
        }
      } else {  // any number will do for channels that do not exist: their gradient is 0
        const int last = o.channels - 1;
#pragma unroll
        for (int j = 0; j < kWarp / 8; ++j) {
          of[tile][j] = make_float2(from[min(first + 8 * j, last) * o.rank],
                                    from[min(first + 8 * j + 4, last) * o.rank]);
        }
      }
    }
  }
};

/// Gradients of eight rows' step sizes, which `own.pre` holds before the softplus: their part of
/// grad_q to `own.columns`, that of dt_weight added to `own.grad_weight`.
template <int kR, class T>
__device__ void step_gradients(GradWarp<kR, T> &own, const QTile<kR, T, kGroup> &q,
                               const StepWeights<GradWarp<kR, T>::kTiles> &weights,
                               const Mixer<T> &o, const MixerPlace &place) {
  constexpr bool kExact = std::is_same_v<T, float>;
  const int g = place.lane / 4;
  const int i = place.lane % 4;
#pragma unroll
  for (int tile = 0; tile < GradWarp<kR, T>::kTiles; ++tile) {
    float4 d = make_float4(0, 0, 0, 0);
#pragma unroll
    for (int j = 0; j < kWarp / 8; ++j) {
      multiply<kExact>(d, make_float4(own.pre[g][8 * j + i], 0, own.pre[g][8 * j + i + 4], 0),
                       weights.of[tile][j]);
    }
    if (8 * tile + 2 * i < kR) {
      own.columns[8 * tile + 2 * i][g] = d.x;
      own.columns[8 * tile + 2 * i + 1][g] = d.y;
    }
    const int column = min(8 * tile + g, o.rank - 1);
    const float2 dt = make_float2(*q.dt(column, i), *q.dt(column, i + 4));
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int channel = 16 * half + g;
      const bool has = own.has_weights(tile, place.lane);
      float4 sum = has ? own.grad_weight(tile, half, place.lane) : make_float4(0, 0, 0, 0);
      multiply<kExact>(sum,
                       make_float4(own.pre[i][channel], own.pre[i][channel + 8],
                                   own.pre[i + 4][channel], own.pre[i + 4][channel + 8]),
                       dt);
      if (has) {
        own.grad_weight(tile, half, place.lane) = sum;
      }
    }
  }
}

}  // namespace calm::cuda
