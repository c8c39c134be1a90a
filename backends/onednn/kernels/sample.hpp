// The filters of sample.cpp: what is the same for every instruction set. They work on the list of
// the ids that are still in, most often a few.
#pragma once

#include <calm/ops/sample.h>
#include <calm/random.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "onednn/kernel.hpp"

namespace calm::onednn {

/// The scalars of a call.
struct SampleRule {
  double temperature, top_p, min_p;
  std::int32_t top_k;

  explicit SampleRule(const Call &call)
      : temperature(static_cast<double>(call.scalar(CALM_SAMPLE_TEMPERATURE))),
        top_p(static_cast<double>(call.scalar(CALM_SAMPLE_TOP_P))),
        min_p(static_cast<double>(call.scalar(CALM_SAMPLE_MIN_P))),
        top_k(call.scalar<std::int32_t>(CALM_SAMPLE_TOP_K)) {}

  bool cold() const { return !(temperature > 0); }
  bool filters() const { return top_k > 0 || top_p > 0 || min_p > 0; }
};

/// What is left of a row while it is filtered.
struct SampleWork {
  float *p;            // probabilities of all ids
  float *sorted;       // for the top-k cutoff
  std::uint32_t *ids;  // those left, rising
  std::uint32_t *heap;
  std::size_t left = 0;

  SampleWork(std::size_t vocab, reference::Scratch &scratch)
      : p(scratch.take<float>(vocab)),
        sorted(scratch.take<float>(vocab)),
        ids(scratch.take<std::uint32_t>(vocab)),
        heap(scratch.take<std::uint32_t>(vocab)) {}

  static std::size_t bytes(const Node &node) {
    reference::Scratch measure;
    const SampleWork one(node.extent(CALM_SAMPLE_LOGITS, 1), measure);
    return measure.used();
  }
};

/// Leaves the ids in of whose probability `keep` says so.
template <class Keep>
void keep_if(SampleWork &work, Keep keep) {
  work.left =
      static_cast<std::size_t>(std::remove_if(work.ids, work.ids + work.left,
                                              [&](std::uint32_t id) { return !keep(work.p[id]); }) -
                               work.ids);
}

/// Ties at the cutoff are all kept.
inline void keep_top_k(SampleWork &work, std::size_t k) {
  if (work.left <= k) {
    return;
  }
  float *const end = std::transform(work.ids, work.ids + work.left, work.sorted,
                                    [&](std::uint32_t id) { return work.p[id]; });
  std::nth_element(work.sorted, work.sorted + k - 1, end, std::greater<>());
  const float cutoff = work.sorted[k - 1];
  keep_if(work, [cutoff](float p) { return p >= cutoff; });
}

/// Drops every entry before which more than top_p has been summed, the largest first; equal ones
/// stand by rising id. The first one always stays.
inline void keep_top_p(SampleWork &work, double top_p) {
  const float *const p = work.p;
  const auto after = [p](std::uint32_t a, std::uint32_t b) {
    return p[a] != p[b] ? p[a] < p[b] : a > b;
  };
  std::uint32_t *end = std::copy_n(work.ids, work.left, work.heap);
  std::make_heap(work.heap, end, after);
  double before = 0;
  while (end != work.heap && (before == 0 || before <= top_p)) {
    before += static_cast<double>(p[work.heap[0]]);
    std::pop_heap(work.heap, end, after);
    --end;
  }
  std::for_each(work.heap, end, [&](std::uint32_t id) { work.p[id] = 0; });
  keep_if(work, [](float x) { return x > 0; });
}

/// The first id whose running sum of what is left exceeds u of it all; `otherwise` when nothing is.
inline std::size_t walk(const SampleWork &work, double u, std::size_t otherwise) {
  double total = 0;
  for (std::size_t i = 0; i < work.left; ++i) {
    total += static_cast<double>(work.p[work.ids[i]]);
  }
  double running = 0;
  for (std::size_t i = 0; i < work.left; ++i) {
    running += static_cast<double>(work.p[work.ids[i]]);
    if (running > u * total) {
      return work.ids[i];
    }
  }
  return work.left > 0 ? work.ids[work.left - 1] : otherwise;
}

/// The uniform of a row.
inline double sample_draw(const Call &call, std::size_t row) {
  if (call.node->has(CALM_SAMPLE_DRAW)) {
    return static_cast<double>(*call.ins[CALM_SAMPLE_DRAW].at<const float>(row));
  }
  const auto seed = static_cast<std::uint64_t>(call.scalar<std::int64_t>(CALM_SAMPLE_SEED));
  const auto step = static_cast<std::uint32_t>(call.scalar<std::int32_t>(CALM_SAMPLE_MICRO_STEP));
  const calm_philox4 drawn =
      calm_philox(seed, 0, static_cast<std::uint32_t>(row), step, CALM_STREAM_SAMPLE);
  return static_cast<double>(calm_uniform(drawn.word[0]));
}

}  // namespace calm::onednn
