// gelu, silu, softplus and their gradients, sigmoid, tanh, exp, elementwise (spec E.4, E.5;
// math-inl.hpp has the formulas).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/activation.cpp"
#include "onednn/simd.hpp"
// After simd.hpp, which says for which targets.
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "onednn/kernel.hpp"
#include "onednn/math-inl.hpp"
#include "onednn/rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace {

/// Away from zero 1 - 2 / (e^2|x| + 1); near it the polynomial of Moshier's Cephes library
/// (tanhf.c), for the subtraction would cancel.
HWY_INLINE Vector tanh_of(Vector x) {
  const Vector one = hn::Set(kFloats, 1.0F);
  const Vector size = hn::Abs(x);
  const Vector e = exp_of(kFloats, hn::Add(size, size));
  const Vector far = hn::Sub(one, hn::Div(hn::Set(kFloats, 2.0F), hn::Add(e, one)));
  const Vector z = hn::Mul(x, x);
  Vector q = hn::Set(kFloats, -5.70498872745e-3F);
  q = hn::MulAdd(q, z, hn::Set(kFloats, 2.06390887954e-2F));
  q = hn::MulAdd(q, z, hn::Set(kFloats, -5.37397155531e-2F));
  q = hn::MulAdd(q, z, hn::Set(kFloats, 1.33314422036e-1F));
  q = hn::MulAdd(q, z, hn::Set(kFloats, -3.33332819422e-1F));
  const Vector near = hn::MulAdd(hn::Mul(x, z), q, x);
  const auto small = hn::Lt(size, hn::Set(kFloats, 0.625F));
  return hn::CopySign(hn::IfThenElse(small, near, far), x);
}

}  // namespace

void gelu(const Call &call) {
  map<1>(call, [](Vector x) CALM_SIMD { return gelu_of(kFloats, x); });
}
void gelu_grad(const Call &call) {
  map<2>(call, [](Vector x, Vector g) CALM_SIMD { return hn::Mul(g, gelu_slope(kFloats, x)); });
}
void silu(const Call &call) {
  map<1>(call, [](Vector x) CALM_SIMD { return silu_of(kFloats, x); });
}
void silu_grad(const Call &call) {
  map<2>(call, [](Vector x, Vector g) CALM_SIMD { return hn::Mul(g, silu_slope(kFloats, x)); });
}
void softplus(const Call &call) {
  map<1>(call, [](Vector x) CALM_SIMD { return softplus_of(kFloats, x); });
}
void softplus_grad(const Call &call) {
  map<2>(call, [](Vector x, Vector g) CALM_SIMD { return hn::Mul(g, softplus_slope(kFloats, x)); });
}
void sigmoid(const Call &call) {
  map<1>(call, [](Vector x) CALM_SIMD { return sigmoid_of(kFloats, x); });
}
void tanh(const Call &call) {
  map<1>(call, [](Vector x) CALM_SIMD { return tanh_of(x); });
}
void exp(const Call &call) {
  map<1>(call, [](Vector x) CALM_SIMD { return exp_of(kFloats, x); });
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {

constexpr Variants kGeluRun = CALM_VARIANTS(gelu);
constexpr Variants kGeluGradRun = CALM_VARIANTS(gelu_grad);
constexpr Variants kSiluRun = CALM_VARIANTS(silu);
constexpr Variants kSiluGradRun = CALM_VARIANTS(silu_grad);
constexpr Variants kSoftplusRun = CALM_VARIANTS(softplus);
constexpr Variants kSoftplusGradRun = CALM_VARIANTS(softplus_grad);
constexpr Variants kSigmoidRun = CALM_VARIANTS(sigmoid);
constexpr Variants kTanhRun = CALM_VARIANTS(tanh);
constexpr Variants kExpRun = CALM_VARIANTS(exp);

}  // namespace

extern const Kernel kGelu, kGeluGrad, kSilu, kSiluGrad, kSoftplus, kSoftplusGrad;
const Kernel kGelu{.op = "gelu", .signature = "r* -> r*", .run = kGeluRun};
const Kernel kGeluGrad{.op = "gelu_grad", .signature = "r* r* -> r*", .run = kGeluGradRun};
const Kernel kSilu{.op = "silu", .signature = "r* -> r*", .run = kSiluRun};
const Kernel kSiluGrad{.op = "silu_grad", .signature = "r* r* -> r*", .run = kSiluGradRun};
const Kernel kSoftplus{.op = "softplus", .signature = "r* -> r*", .run = kSoftplusRun};
const Kernel kSoftplusGrad{
    .op = "softplus_grad", .signature = "r* r* -> r*", .run = kSoftplusGradRun};

extern const Kernel kSigmoid, kTanh, kExp;
const Kernel kSigmoid{.op = "sigmoid", .signature = "r* -> r*", .run = kSigmoidRun};
const Kernel kTanh{.op = "tanh", .signature = "r* -> r*", .run = kTanhRun};
const Kernel kExp{.op = "exp", .signature = "r* -> r*", .run = kExpRun};

}  // namespace calm::onednn
#endif
