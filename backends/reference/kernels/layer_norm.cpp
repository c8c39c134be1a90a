// y = (x - mean) rstd weight + bias, rstd = 1 / sqrt(var + eps), biased variance (spec E.3).
//
// Backward, with n = (x - mean) rstd and g = grad weight (Ba et al., arXiv 1607.06450):
//   grad_x = rstd (g - mean(g) - n mean(g n)), grad_weight = sum of grad n, grad_bias = sum of
//   grad.
#include <calm/ops/layer_norm.h>

#include <cmath>

#include "../math.hpp"
#include "../parallel.hpp"

namespace calm::reference {

template <class Real>
void layer_norm(const Call &call) {
  const std::size_t rows = call.extent(CALM_LAYER_NORM_X, 0);
  const std::size_t d = call.extent(CALM_LAYER_NORM_X, 1);
  const Real *const x = call.in<Real>(CALM_LAYER_NORM_X);
  const Real *const weight = call.in<Real>(CALM_LAYER_NORM_WEIGHT);
  const Real *const bias = call.in<Real>(CALM_LAYER_NORM_BIAS);
  const double eps = call.f64(CALM_LAYER_NORM_EPS);
  Real *const y = call.out<Real>(CALM_LAYER_NORM_Y);
  Real *const out_mean = call.out<Real>(CALM_LAYER_NORM_MEAN);
  Real *const out_rstd = call.out<Real>(CALM_LAYER_NORM_RSTD);
  for_blocks(call, rows, row_block(d), 8 * static_cast<double>(d),
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t t = begin; t < end; ++t) {
                 const Real *const xt = x + t * d;
                 const double width = static_cast<double>(d);
                 const double sum = sum_of(d, [&](std::size_t i) CALM_LAMBDA { return xt[i]; });
                 const double mean = sum / width;
                 const double squares = sum_of(d, [&](std::size_t i) CALM_LAMBDA {
                   const double centred = static_cast<double>(xt[i]) - mean;
                   return centred * centred;
                 });
                 const Real m = static_cast<Real>(mean);
                 const Real r = static_cast<Real>(1 / std::sqrt(squares / width + eps));
                 if (y != nullptr) {
                   Real *const yt = y + t * d;
                   for (std::size_t i = 0; i < d; ++i) {
                     yt[i] = (xt[i] - m) * r * weight[i] + bias[i];
                   }
                 }
                 if (out_mean != nullptr) {
                   out_mean[t] = m;
                 }
                 if (out_rstd != nullptr) {
                   out_rstd[t] = r;
                 }
               }
             });
}

namespace {

/// Weight and bias gradients of one group of rows.
struct GradSums {
  double *weight, *bias;
  GradSums(std::size_t d, Scratch &scratch)
      : weight(scratch.take<double>(d)), bias(scratch.take<double>(d)) {}
};

std::size_t grad_sums_bytes(std::size_t d) {
  Scratch measure;
  const GradSums one(d, measure);
  return measure.used();
}

}  // namespace

template <class Real>
std::size_t layer_norm_grad_plan(const Node &node) {
  return groups_of(node.extent(0, 0)) * grad_sums_bytes(node.extent(0, 1));
}

template <class Real>
void layer_norm_grad(const Call &call) {
  const std::size_t rows = call.extent(CALM_LAYER_NORM_GRAD_X, 0);
  const std::size_t d = call.extent(CALM_LAYER_NORM_GRAD_X, 1);
  const Real *const x = call.in<Real>(CALM_LAYER_NORM_GRAD_X);
  const Real *const weight = call.in<Real>(CALM_LAYER_NORM_GRAD_WEIGHT);
  const Real *const mean = call.in<Real>(CALM_LAYER_NORM_GRAD_MEAN);
  const Real *const rstd = call.in<Real>(CALM_LAYER_NORM_GRAD_RSTD);
  const Real *const grad = call.in<Real>(CALM_LAYER_NORM_GRAD_GRAD);
  Real *const grad_x = call.out<Real>(0);
  Real *const grad_weight = call.out<Real>(1);
  Real *const grad_bias = call.out<Real>(2);
  const std::size_t groups = groups_of(rows);
  const std::size_t bytes = grad_sums_bytes(d);
  for_shards(
      call, groups, 16 * static_cast<double>(rows) * static_cast<double>(d),
      [&](std::size_t group, auto) CALM_LAMBDA {
        Scratch scratch(call.scratch() + group * bytes);
        const GradSums sums(d, scratch);
        for (std::size_t i = 0; i < d; ++i) {
          sums.weight[i] = 0;
          sums.bias[i] = 0;
        }
        const auto [begin, end] = part(rows, groups, group);
        for (std::size_t t = begin; t < end; ++t) {
          const Real *const xt = x + t * d;
          const Real *const gt = grad + t * d;
          const Real m = mean[t];
          const Real r = rstd[t];
          for (std::size_t i = 0; i < d; ++i) {
            sums.weight[i] += static_cast<double>(gt[i] * ((xt[i] - m) * r));
            sums.bias[i] += static_cast<double>(gt[i]);
          }
          if (grad_x == nullptr) {
            continue;
          }
          const double width = static_cast<double>(d);
          const Real mean_g = static_cast<Real>(
              sum_of(d, [&](std::size_t i) CALM_LAMBDA { return gt[i] * weight[i]; }) / width);
          const Real mean_gn = static_cast<Real>(
              sum_of(d, [&](std::size_t i)
                            CALM_LAMBDA { return gt[i] * weight[i] * ((xt[i] - m) * r); }) /
              width);
          Real *const out = grad_x + t * d;
          for (std::size_t i = 0; i < d; ++i) {
            out[i] = r * (gt[i] * weight[i] - mean_g - (xt[i] - m) * r * mean_gn);
          }
        }
      });
  for (std::size_t i = 0; i < d; ++i) {
    double sum_weight = 0;
    double sum_bias = 0;
    for (std::size_t group = 0; group < groups; ++group) {
      Scratch scratch(call.scratch() + group * bytes);
      const GradSums sums(d, scratch);
      sum_weight += sums.weight[i];
      sum_bias += sums.bias[i];
    }
    if (grad_weight != nullptr) {
      grad_weight[i] = static_cast<Real>(sum_weight);
    }
    if (grad_bias != nullptr) {
      grad_bias[i] = static_cast<Real>(sum_bias);
    }
  }
}

CALM_KERNEL(layer_norm);
CALM_PLANNED_KERNEL(layer_norm_grad);

}  // namespace calm::reference
