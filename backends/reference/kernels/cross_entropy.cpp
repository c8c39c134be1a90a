// loss = sum over rows with target >= 0 of logsumexp(logits[t]) - logits[t, target] (spec F);
// its gradient (softmax(logits[t]) - onehot(target)) grad, exactly 0 in rows that do not count.
#include <calm/ops/cross_entropy.h>

#include <algorithm>
#include <cmath>

#include "../math.hpp"
#include "../parallel.hpp"

namespace calm::reference {
namespace {

constexpr double kOps = 20;  // an element

/// log of the sum of e^x over n numbers, shifted by the largest.
template <class Real>
CALM_INLINE double log_sum_exp(const Real *x, std::size_t n) {
  Real top = x[0];
  for (std::size_t i = 1; i < n; ++i) {
    top = x[i] > top ? x[i] : top;
  }
  const double sum = sum_of(n, [&](std::size_t i) CALM_LAMBDA { return exp_of(x[i] - top); });
  return static_cast<double>(top) + std::log(sum);
}

}  // namespace

template <class Real>
std::size_t cross_entropy_plan(const Node &node) {
  Scratch scratch;
  scratch.take<double>(div_up(node.extent(0, 0), row_block(node.extent(0, 1))));
  return scratch.used();
}

template <class Real>
void cross_entropy(const Call &call) {
  const std::size_t rows = call.extent(CALM_CROSS_ENTROPY_LOGITS, 0);
  const std::size_t vocab = call.extent(CALM_CROSS_ENTROPY_LOGITS, 1);
  const Real *const logits = call.in<Real>(CALM_CROSS_ENTROPY_LOGITS);
  const auto *const targets = call.in<std::int32_t>(CALM_CROSS_ENTROPY_TARGETS);
  Real *const lse = call.out<Real>(CALM_CROSS_ENTROPY_LSE);
  const std::size_t block = row_block(vocab);
  double *const sums = Scratch(call.scratch()).take<double>(0);  // one a block of rows
  for_blocks(call, rows, block, kOps * static_cast<double>(vocab),
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               double sum = 0;
               for (std::size_t t = begin; t < end; ++t) {
                 Real row_lse = 0;
                 if (targets[t] >= 0) {
                   const Real *const row = logits + t * vocab;
                   const double log_sum = log_sum_exp(row, vocab);
                   sum += log_sum - static_cast<double>(row[targets[t]]);
                   row_lse = static_cast<Real>(log_sum);
                 }
                 if (lse != nullptr) {
                   lse[t] = row_lse;
                 }
               }
               sums[begin / block] = sum;
             });
  if (Real *const loss = call.out<Real>(CALM_CROSS_ENTROPY_LOSS)) {
    double total = 0;
    for (std::size_t i = 0; i < div_up(rows, block); ++i) {
      total += sums[i];
    }
    *loss = static_cast<Real>(total);
  }
}

template <class Real>
void cross_entropy_grad(const Call &call) {
  const std::size_t vocab = call.extent(CALM_CROSS_ENTROPY_LOGITS, 1);
  const Real *const logits = call.in<Real>(CALM_CROSS_ENTROPY_LOGITS);
  const auto *const targets = call.in<std::int32_t>(CALM_CROSS_ENTROPY_TARGETS);
  const Real *const lse = call.in<Real>(CALM_CROSS_ENTROPY_GRAD_LSE);
  const Real grad = call.scalar<Real>(CALM_CROSS_ENTROPY_GRAD_GRAD);
  Real *const out = call.out<Real>(0);
  if (out == nullptr) {
    return;
  }
  for_blocks(call, call.extent(CALM_CROSS_ENTROPY_LOGITS, 0), row_block(vocab),
             kOps * static_cast<double>(vocab),
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t t = begin; t < end; ++t) {
                 Real *const to = out + t * vocab;
                 if (targets[t] < 0) {
                   std::fill_n(to, vocab, Real{0});
                   continue;
                 }
                 const Real *const row = logits + t * vocab;
                 for (std::size_t i = 0; i < vocab; ++i) {
                   to[i] = exp_of(row[i] - lse[t]) * grad;
                 }
                 to[targets[t]] -= grad;
               }
             });
}

CALM_PLANNED_KERNEL(cross_entropy);
CALM_KERNEL(cross_entropy_grad);

}  // namespace calm::reference
