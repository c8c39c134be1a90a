// out = y silu(z) (spec E.5.6); grad_y = grad silu(z), grad_z = grad y silu'(z).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/gated_silu.cpp"
#include "onednn/simd.hpp"
// After simd.hpp, which says for which targets.
#include <calm/ops/gated_silu.h>

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "onednn/kernel.hpp"
#include "onednn/math-inl.hpp"
#include "onednn/rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {

void gated_silu(const Call &call) {
  map<2>(call, [](Vector y, Vector z) CALM_SIMD { return hn::Mul(y, silu_of(kFloats, z)); });
}

void gated_silu_grad(const Call &call) {
  const Operand y = call.ins[CALM_GATED_SILU_Y];
  const Operand z = call.ins[CALM_GATED_SILU_Z];
  const Operand grad = call.ins[CALM_GATED_SILU_GRAD_GRAD];
  const Operand grad_y = output(call, 0);
  const Operand grad_z = output(call, 1);
  for_runs(call, record_width(call.node->ins[0]), {y, z, grad, grad_y, grad_z},
           [&](std::size_t record, std::size_t n) CALM_SIMD {
             const float *const py = y.at<const float>(record);
             const float *const pz = z.at<const float>(record);
             const float *const pg = grad.at<const float>(record);
             float *const to_y = grad_y ? grad_y.at(record) : nullptr;
             float *const to_z = grad_z ? grad_z.at(record) : nullptr;
             for_vectors(n, [&](std::size_t i, auto lanes) CALM_SIMD {
               const Vector g = lanes.load(pg + i);
               const Vector gy = hn::Mul(g, lanes.load(py + i));
               const auto gate = silu_both(kFloats, lanes.load(pz + i));
               if (to_y != nullptr) {
                 lanes.store(hn::Mul(g, gate.value), to_y + i);
               }
               if (to_z != nullptr) {
                 lanes.store(hn::Mul(gy, gate.slope), to_z + i);
               }
             });
           });
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {

constexpr Variants kGatedSiluRun = CALM_VARIANTS(gated_silu);
constexpr Variants kGatedSiluGradRun = CALM_VARIANTS(gated_silu_grad);

}  // namespace

extern const Kernel kGatedSilu, kGatedSiluGrad;
const Kernel kGatedSilu{.op = "gated_silu", .signature = "r* r* -> r*", .run = kGatedSiluRun};
const Kernel kGatedSiluGrad{
    .op = "gated_silu_grad", .signature = "r* r* r* -> r* r*", .run = kGatedSiluGradRun};

}  // namespace calm::onednn
#endif
