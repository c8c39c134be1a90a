// ewc_penalty, fisher (calm/ops/ewc.h has the equations; spec J).
#include <calm/ops/ewc.h>

#include "../math.hpp"
#include "../parallel.hpp"

namespace calm::reference {

template <class>
std::size_t ewc_penalty_plan(const Node &node) {
  Scratch scratch;
  scratch.take<double>(div_up(node.extent(CALM_EWC_PENALTY_GRAD, 0), kElementBlock));
  return scratch.used();
}

template <class Real>
void ewc_penalty(const Call &call) {
  const Real *const grad = call.in<Real>(CALM_EWC_PENALTY_GRAD);
  const Real *const param = call.in<Real>(CALM_EWC_PENALTY_PARAM);
  const Real *const fisher = call.in<Real>(CALM_EWC_PENALTY_FISHER);
  const Real *const anchor = call.in<Real>(CALM_EWC_PENALTY_ANCHOR);
  const Real scale = call.scalar<Real>(CALM_EWC_PENALTY_SCALE);
  Real *const out = call.out<Real>(0);
  Real *const out_sum = call.out<Real>(1);
  const std::size_t n = call.extent(CALM_EWC_PENALTY_GRAD, 0);
  const std::size_t blocks = div_up(n, kElementBlock);
  double *const sums = Scratch(call.scratch()).take<double>(blocks);
  for_blocks(call, n, kElementBlock, 8, [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
    if (out != nullptr) {
      for (std::size_t i = begin; i < end; ++i) {
        out[i] = grad[i] + scale * fisher[i] * (param[i] - anchor[i]);
      }
    }
    if (out_sum != nullptr) {
      sums[begin / kElementBlock] = sum_of(end - begin, [&](std::size_t i) CALM_LAMBDA {
        const double moved = static_cast<double>(param[begin + i] - anchor[begin + i]);
        return static_cast<double>(fisher[begin + i]) * moved * moved;
      });
    }
  });
  if (out_sum != nullptr) {
    double sum = 0;
    for (std::size_t i = 0; i < blocks; ++i) {
      sum += sums[i];
    }
    *out_sum = static_cast<Real>(sum);
  }
}

template <class Real>
void fisher(const Call &call) {
  const Real *const old = call.in<Real>(CALM_FISHER_FISHER);
  const Real *const grad = call.in<Real>(CALM_FISHER_GRAD);
  const Real keep = call.scalar<Real>(CALM_FISHER_KEEP);
  const Real take = call.scalar<Real>(CALM_FISHER_TAKE);
  Real *const out = call.out<Real>(0);
  if (out == nullptr) {
    return;
  }
  for_blocks(call, call.extent(CALM_FISHER_FISHER, 0), kElementBlock, 2,
             [&](std::size_t begin, std::size_t end) CALM_LAMBDA {
               for (std::size_t i = begin; i < end; ++i) {
                 out[i] = keep * old[i] + take * grad[i] * grad[i];
               }
             });
}

CALM_PLANNED_KERNEL(ewc_penalty);
CALM_KERNEL(fisher);

}  // namespace calm::reference
