// What the kernels of causal_conv_silu are given.
#pragma once

#include <cstdint>

namespace calm::cuda {

/// T: what activations are stored as.
template <class T>
struct Shape {
  const T *x;
  std::int64_t x_stride;
  const float *weight;
  const std::int32_t *offsets;
  int rows, channels, taps, sequences;
};

template <class T>
struct Forward : Shape<T> {
  const float *state_in;
  T *y;
  std::int64_t y_stride;
};

template <class T>
struct Backward : Shape<T> {
  const T *grad;
  T *grad_x;
  std::int64_t grad_stride, grad_x_stride;
  float *sums;  // [chunks, E, K], or null
};

}  // namespace calm::cuda
