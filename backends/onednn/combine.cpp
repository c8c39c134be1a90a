#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/combine.cpp"
#include "onednn/simd.hpp"
// After simd.hpp.
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "onednn/combine.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void add_floats(const float *sums, std::size_t stride, std::size_t shards, std::size_t n,
                float *out) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    auto sum = hn::LoadU(d, sums + i);
    for (std::size_t s = 1; s < shards; ++s) {
      sum = hn::Add(sum, hn::LoadU(d, sums + s * stride + i));
    }
    hn::StoreU(sum, d, out + i);
  }
  for (; i < n; ++i) {
    float sum = sums[i];
    for (std::size_t s = 1; s < shards; ++s) {
      sum += sums[s * stride + i];
    }
    out[i] = sum;
  }
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {

void add_shards(const float *sums, std::size_t stride, std::size_t shards, std::size_t n,
                float *out, Level level) {
  using Add = void (*)(const float *, std::size_t, std::size_t, std::size_t, float *);
  constexpr Add kAdd[] = CALM_VARIANTS(add_floats);
  kAdd[static_cast<std::size_t>(level)](sums, stride, shards, n, out);
}

void add_shards(const double *sums, std::size_t stride, std::size_t shards, std::size_t n,
                float *out) {
  for (std::size_t i = 0; i < n; ++i) {
    double sum = 0;
    for (std::size_t s = 0; s < shards; ++s) {
      sum += sums[s * stride + i];
    }
    out[i] = static_cast<float>(sum);
  }
}

}  // namespace calm::onednn
#endif
