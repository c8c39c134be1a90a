// rows[t] = table[ids[t]]; table gradient out[v] = sum of grad[t] over t with ids[t] = v, in order
// of t (calm/ops/embedding.h).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "onednn/kernels/embedding.cpp"
#include "onednn/simd.hpp"
// After simd.hpp, which says for which targets.
#include <calm/ops/embedding.h>

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "onednn/kernel.hpp"
#include "onednn/rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace calm::onednn::HWY_NAMESPACE {

void embedding(const Call &call) {
  const Operand out = output(call, 0);
  if (!out) {
    return;
  }
  const std::size_t d = call.node->extent(CALM_EMBEDDING_TABLE, 1);
  const float *const table = call.ins[CALM_EMBEDDING_TABLE].at<const float>(0);
  for (std::size_t row = call.begin; row < call.end; ++row) {
    const std::int32_t id = *call.ins[CALM_EMBEDDING_IDS].at<const std::int32_t>(row);
    const float *const from = table + static_cast<std::size_t>(id) * d;
    float *const to = out.at(row);
    for_vectors(
        d, [&](std::size_t i, auto lanes) CALM_SIMD { lanes.store(lanes.load(from + i), to + i); });
  }
}

void embedding_grad(const Call &call) {
  const Operand out = output(call, 0);
  if (!out) {
    return;
  }
  const std::size_t d = call.node->extent(CALM_EMBEDDING_GRAD_GRAD, 1);
  float *const table = out.at(0);
  for (std::size_t row = call.begin; row < call.end; ++row) {
    const std::int32_t id = *call.ins[CALM_EMBEDDING_GRAD_IDS].at<const std::int32_t>(row);
    const float *const grad = call.ins[CALM_EMBEDDING_GRAD_GRAD].at<const float>(row);
    float *const sum = table + static_cast<std::size_t>(id) * d;
    for_vectors(d, [&](std::size_t i, auto lanes) CALM_SIMD {
      lanes.store(hn::Add(lanes.load(sum + i), lanes.load(grad + i)), sum + i);
    });
  }
}

}  // namespace calm::onednn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace calm::onednn {
namespace {

constexpr Variants kEmbeddingRun = CALM_VARIANTS(embedding);
constexpr Variants kEmbeddingGradRun = CALM_VARIANTS(embedding_grad);

}  // namespace

extern const Kernel kEmbedding, kEmbeddingGrad;
const Kernel kEmbedding{
    .op = "embedding", .signature = "i[T] r[V,d] -> r[T,d]", .run = kEmbeddingRun};
const Kernel kEmbeddingGrad{.op = "embedding_grad",
                            .signature = "i[T] r[T,d] | i -> r[V,d]",
                            .run = kEmbeddingGradRun,
                            .sums = 0b1};

}  // namespace calm::onednn
#endif
