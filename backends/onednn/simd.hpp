// Instruction sets kernels are compiled for, with Google Highway's foreach_target: a kernel's file
// is compiled once for each, and CALM_VARIANTS lists the results in the order of Level. Include it
// before anything of Highway.
//
//   #undef HWY_TARGET_INCLUDE
//   #define HWY_TARGET_INCLUDE "onednn/kernels/gelu.cpp"
//   #include "onednn/simd.hpp"
//   #include <hwy/foreach_target.h>
//   #include <hwy/highway.h>
//   #include "onednn/kernel.hpp"
//   #include "onednn/math-inl.hpp"
//   HWY_BEFORE_NAMESPACE();
//   namespace calm::onednn::HWY_NAMESPACE {
//   void gelu(const Call &call) { ... }
//   }  // namespace calm::onednn::HWY_NAMESPACE
//   HWY_AFTER_NAMESPACE();
//   #if HWY_ONCE
//   namespace calm::onednn {
//   constexpr Variants kRun = CALM_VARIANTS(gelu);
//   extern const Kernel kGelu; const Kernel kGelu{.op = "gelu", .signature = "r* -> r*", .run =
//   kRun};
//   }
//   #endif
#ifndef CALM_ONEDNN_SIMD_HPP
#define CALM_ONEDNN_SIMD_HPP

#include <hwy/detect_targets.h>

#if defined(__x86_64__)
// Left: AVX-512 (as of Skylake), AVX2 with FMA, and what every processor has (one lane).
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#define CALM_VARIANTS(function) \
  { &HWY_STATIC_DISPATCH(function), &N_AVX2::function, &N_AVX3::function }
#else
#define CALM_VARIANTS(function) \
  { &HWY_STATIC_DISPATCH(function), &HWY_STATIC_DISPATCH(function), &HWY_STATIC_DISPATCH(function) }
#endif

#endif
