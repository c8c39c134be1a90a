// y = (x - mean) rstd weight + bias, rstd = 1 / sqrt(var + eps), biased variance (spec E.3), mean
// first and the variance around it.
//
// Backward, with n = (x - mean) rstd and g = grad weight (Ba et al., arXiv 1607.06450):
//   grad_x = rstd (g - mean(g) - n mean(g n)), grad_weight = sum of grad n, grad_bias = sum of
//   grad.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/layer_norm.cpp"
#include "onednn/simd.hpp"
// After simd.hpp, which says for which targets.
#include <calm/ops/layer_norm.h>

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "onednn/kernel.hpp"
#include "onednn/rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {

namespace {

/// Rows that go through one pass after another: short passes, of which a processor sees several
/// rows at once, over what stays in its first cache.
std::size_t group_rows(std::size_t d) {
  constexpr std::size_t kElements = 4096;
  return std::clamp<std::size_t>(kElements / std::max<std::size_t>(1, d), 1, kChunk);
}

/// Of n rows from `begin` on.
struct Statistics {
  HWY_ALIGN float mean[kChunk];
  HWY_ALIGN float rstd[kChunk];

  HWY_INLINE Statistics(const Operand &in, std::size_t begin, std::size_t n, std::size_t d,
                        double eps) {
    const double per_element = 1 / static_cast<double>(d);
    for (std::size_t row = 0; row < n; ++row) {
      const float *const x = in.at<const float>(begin + row);
      const float sum =
          sum_of(d, [&](std::size_t i, auto lanes) CALM_SIMD { return lanes.load(x + i); });
      mean[row] = static_cast<float>(static_cast<double>(sum) * per_element);
    }
    for (std::size_t row = 0; row < n; ++row) {
      const float *const x = in.at<const float>(begin + row);
      const Vector m = hn::Set(kFloats, mean[row]);
      rstd[row] = sum_of(d, [&](std::size_t i, auto lanes) CALM_SIMD {
        const Vector centred = lanes.or_zero(hn::Sub(lanes.load(x + i), m));
        return hn::Mul(centred, centred);
      });
    }
    const auto inverse = [&](auto f, auto sums) CALM_SIMD {
      const auto variance = hn::MulAdd(sums, hn::Set(f, static_cast<float>(per_element)),
                                       hn::Set(f, static_cast<float>(eps)));
      return hn::Div(hn::Set(f, 1.0F), hn::Sqrt(variance));
    };
    if (n == 1) {  // of generation, which waits for every one of these steps
      const hn::CappedTag<float, 1> f;
      rstd[0] = hn::GetLane(inverse(f, hn::Set(f, rstd[0])));
      return;
    }
    for_vectors(n, [&](std::size_t i, auto lanes) CALM_SIMD {
      lanes.store(inverse(kFloats, lanes.load(rstd + i)), rstd + i);
    });
  }
};

}  // namespace

void layer_norm(const Call &call) {
  const std::size_t d = call.node->extent(CALM_LAYER_NORM_X, 1);
  const double eps = call.node->attrs[CALM_LAYER_NORM_EPS].f64;
  const float *const weight = call.ins[CALM_LAYER_NORM_WEIGHT].at<const float>(0);
  const float *const bias = call.ins[CALM_LAYER_NORM_BIAS].at<const float>(0);
  const Operand in = call.ins[CALM_LAYER_NORM_X];
  const Operand y = output(call, CALM_LAYER_NORM_Y);
  const Operand means = output(call, CALM_LAYER_NORM_MEAN);
  const Operand rstds = output(call, CALM_LAYER_NORM_RSTD);
  const std::size_t group = call.rows() == 1 ? 1 : group_rows(d);
  for (std::size_t begin = call.begin; begin < call.end; begin += group) {
    const std::size_t n = std::min(group, call.end - begin);
    const Statistics of(in, begin, n, d, eps);
    for (std::size_t row = 0; row < n; ++row) {
      if (means) {
        *means.at(begin + row) = of.mean[row];
      }
      if (rstds) {
        *rstds.at(begin + row) = of.rstd[row];
      }
    }
    for (std::size_t row = 0; y && row < n; ++row) {
      const float *const x = in.at<const float>(begin + row);
      float *const to = y.at(begin + row);
      const Vector m = hn::Set(kFloats, of.mean[row]);
      const Vector r = hn::Set(kFloats, of.rstd[row]);
      for_vectors(d, [&](std::size_t i, auto lanes) CALM_SIMD {
        const Vector normal = hn::Mul(hn::Sub(lanes.load(x + i), m), r);
        lanes.store(hn::MulAdd(normal, lanes.load(weight + i), lanes.load(bias + i)), to + i);
      });
    }
  }
}

namespace {

/// What the backward pass reads by rows.
struct GradInputs {
  Operand x, mean, rstd, grad;
  explicit GradInputs(const Call &call)
      : x(call.ins[CALM_LAYER_NORM_GRAD_X]),
        mean(call.ins[CALM_LAYER_NORM_GRAD_MEAN]),
        rstd(call.ins[CALM_LAYER_NORM_GRAD_RSTD]),
        grad(call.ins[CALM_LAYER_NORM_GRAD_GRAD]) {}
};

/// Vectors of columns that are summed at once: what fits the registers.
constexpr std::size_t kTile = 4;

template <class Lanes>
HWY_INLINE void add_to(double *sums, Vector v, std::size_t n, Lanes lanes) {
  HWY_ALIGN float values[hn::MaxLanes(kFloats)];
  lanes.store(v, values);
  for (std::size_t i = 0; i < n; ++i) {
    sums[i] += static_cast<double>(values[i]);
  }
}

/// grad_weight and grad_bias of kVectors vectors of columns from `first` on, `each` columns a
/// vector, over rows [begin, end): few enough to add up in floats.
template <std::size_t kVectors, class Lanes>
HWY_INLINE void add_columns(const GradInputs &in, std::size_t begin, std::size_t end,
                            std::size_t first, std::size_t each, Lanes lanes, double *weight,
                            double *bias) {
  const std::size_t step = hn::Lanes(kFloats);
  Vector weights[kVectors], biases[kVectors];
  for (std::size_t v = 0; v < kVectors; ++v) {
    weights[v] = biases[v] = hn::Zero(kFloats);
  }
  for (std::size_t row = begin; row < end; ++row) {
    const float *const x = in.x.at<const float>(row) + first;
    const float *const grad = in.grad.at<const float>(row) + first;
    const Vector m = hn::Set(kFloats, *in.mean.at(row));
    const Vector r = hn::Set(kFloats, *in.rstd.at(row));
    for (std::size_t v = 0; v < kVectors; ++v) {
      const Vector g = lanes.load(grad + v * step);
      const Vector normal = hn::Mul(hn::Sub(lanes.load(x + v * step), m), r);
      weights[v] = hn::MulAdd(g, normal, weights[v]);
      biases[v] = hn::Add(g, biases[v]);
    }
  }
  for (std::size_t v = 0; v < kVectors; ++v) {
    if (weight != nullptr) {
      add_to(weight + first + v * step, weights[v], each, lanes);
    }
    if (bias != nullptr) {
      add_to(bias + first + v * step, biases[v], each, lanes);
    }
  }
}

HWY_INLINE void sum_columns(const GradInputs &in, std::size_t begin, std::size_t end, std::size_t d,
                            double *weight, double *bias) {
  const std::size_t step = hn::Lanes(kFloats);
  std::size_t i = 0;
  for (; i + kTile * step <= d; i += kTile * step) {
    add_columns<kTile>(in, begin, end, i, step, Whole{}, weight, bias);
  }
  for (; i + step <= d; i += step) {
    add_columns<1>(in, begin, end, i, step, Whole{}, weight, bias);
  }
  if (i < d) {
    add_columns<1>(in, begin, end, i, d - i, Part{hn::FirstN(kFloats, d - i)}, weight, bias);
  }
}

/// Sums of g and of g n along a row.
struct RowSums {
  Vector g, gn;
};

HWY_INLINE void grad_row(const float *x, const float *grad, const float *weight, float mean,
                         float rstd, std::size_t d, float *out) {
  const Vector m = hn::Set(kFloats, mean);
  const RowSums sums = fold(
      d, RowSums{hn::Zero(kFloats), hn::Zero(kFloats)},
      [&](RowSums sum, std::size_t i, auto lanes) CALM_SIMD {
        const Vector g = hn::Mul(lanes.load(grad + i), lanes.load(weight + i));
        return RowSums{hn::Add(sum.g, g), hn::MulAdd(g, hn::Sub(lanes.load(x + i), m), sum.gn)};
      },
      [](RowSums a, RowSums b) CALM_SIMD {
        return RowSums{hn::Add(a.g, b.g), hn::Add(a.gn, b.gn)};
      });
  const float per_element = 1 / static_cast<float>(d);
  const float mean_g = hn::GetLane(hn::SumOfLanes(kFloats, sums.g)) * per_element;
  const float mean_gn = hn::GetLane(hn::SumOfLanes(kFloats, sums.gn)) * per_element * rstd;
  const Vector r = hn::Set(kFloats, rstd);
  const Vector share = hn::Set(kFloats, mean_g);
  const Vector slope = hn::Set(kFloats, rstd * mean_gn);
  for_vectors(d, [&](std::size_t i, auto lanes) CALM_SIMD {
    const Vector g = hn::Mul(lanes.load(grad + i), lanes.load(weight + i));
    const Vector centred = hn::Sub(lanes.load(x + i), m);
    lanes.store(hn::Mul(r, hn::NegMulAdd(centred, slope, hn::Sub(g, share))), out + i);
  });
}

}  // namespace

void layer_norm_grad(const Call &call) {
  const GradInputs in(call);
  const std::size_t d = call.node->extent(CALM_LAYER_NORM_GRAD_X, 1);
  const Operand grad_x = output(call, 0);
  const Operand weight_out = output(call, 1);
  const Operand bias_out = output(call, 2);
  double *const weight_sums = weight_out ? weight_out.at<double>(0) : nullptr;
  double *const bias_sums = bias_out ? bias_out.at<double>(0) : nullptr;
  const float *const weight = call.ins[CALM_LAYER_NORM_GRAD_WEIGHT].at<const float>(0);
  for (std::size_t begin = call.begin; begin < call.end; begin += kChunk) {
    const std::size_t end = std::min(call.end, begin + kChunk);
    // First, for grad_x may take the place of x or of grad.
    if (weight_out || bias_out) {
      sum_columns(in, begin, end, d, weight_sums, bias_sums);
    }
    for (std::size_t row = begin; grad_x && row < end; ++row) {
      grad_row(in.x.at<const float>(row), in.grad.at<const float>(row), weight, *in.mean.at(row),
               *in.rstd.at(row), d, grad_x.at(row));
    }
  }
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {

constexpr Variants kLayerNormRun = CALM_VARIANTS(layer_norm);
constexpr Variants kLayerNormGradRun = CALM_VARIANTS(layer_norm_grad);

}  // namespace

extern const Kernel kLayerNorm, kLayerNormGrad;
const Kernel kLayerNorm{.op = "layer_norm",
                        .signature = "r[T,d] r[d] r[d] | f -> r[T,d] r[T] r[T]",
                        .run = kLayerNormRun};
const Kernel kLayerNormGrad{.op = "layer_norm_grad",
                            .signature = "r[T,d] r[d] r[T] r[T] r[T,d] -> r[T,d] r[d] r[d]",
                            .run = kLayerNormGradRun,
                            .sums = 0b110,
                            .wide = 0b110};

}  // namespace calm::onednn
#endif
