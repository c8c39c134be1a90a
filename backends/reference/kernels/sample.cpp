// One token a row: temperature, min-p, top-k, top-p, one draw (spec D.1), and its log-probability
// before filtering (spec D.2).
#include <calm/ops/sample.h>
#include <calm/random.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "../math.hpp"
#include "../parallel.hpp"

namespace calm::reference {
namespace {

struct Rule {
  double temperature, top_p, min_p;
  std::int32_t top_k;
};

template <class Real>
struct Work {
  Real *p;               // probabilities, 0 where filtered out
  Real *sorted;          // for the top-k cutoff
  std::uint32_t *order;  // ids by falling probability
  Work(std::size_t vocab, Scratch &scratch)
      : p(scratch.take<Real>(vocab)),
        sorted(scratch.take<Real>(vocab)),
        order(scratch.take<std::uint32_t>(vocab)) {}
};

template <class Real>
std::size_t work_bytes(std::size_t vocab) {
  Scratch measure;
  const Work<Real> one(vocab, measure);
  return measure.used();
}

/// The largest, of equals the first.
template <class Real>
std::size_t argmax(const Real *x, std::size_t n) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < n; ++i) {
    best = x[i] > x[best] ? i : best;
  }
  return best;
}

template <class Real>
void keep_min_p(Real *p, std::size_t n, double min_p) {
  const Real floor = static_cast<Real>(min_p) * *std::max_element(p, p + n);
  std::replace_if(
      p, p + n, [&](Real x) { return x < floor; }, Real{0});
}

/// Ties at the cutoff are all kept.
template <class Real>
void keep_top_k(const Work<Real> &work, std::size_t n, std::size_t k) {
  const std::size_t last = std::min(k, n) - 1;
  std::copy_n(work.p, n, work.sorted);
  std::nth_element(work.sorted, work.sorted + last, work.sorted + n, std::greater<>());
  const Real cutoff = work.sorted[last];
  std::replace_if(
      work.p, work.p + n, [&](Real x) { return x < cutoff; }, Real{0});
}

/// Drops every entry before which more than top_p has been summed; equal ones stand by rising id.
/// The first one always stays.
template <class Real>
void keep_top_p(const Work<Real> &work, std::size_t n, double top_p) {
  Real *const p = work.p;
  for (std::size_t i = 0; i < n; ++i) {
    work.order[i] = static_cast<std::uint32_t>(i);
  }
  std::sort(work.order, work.order + n,
            [p](std::uint32_t a, std::uint32_t b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
  double before = 0;
  for (std::size_t i = 0; i < n; ++i) {
    Real &own = p[work.order[i]];
    const double probability = static_cast<double>(own);
    if (i > 0 && before > top_p) {
      own = 0;
    }
    before += probability;
  }
}

/// The first id whose running sum of what is kept exceeds u of it all; n when nothing is kept.
template <class Real>
std::size_t walk(const Real *p, std::size_t n, double u) {
  double total = 0;
  for (std::size_t i = 0; i < n; ++i) {
    total += static_cast<double>(p[i]);
  }
  double running = 0;
  std::size_t id = n;
  for (std::size_t i = 0; i < n && total > 0; ++i) {
    if (p[i] > 0) {
      id = i;
      running += static_cast<double>(p[i]);
      if (running > u * total) {
        break;
      }
    }
  }
  return id;
}

template <class Real>
std::size_t pick(const Real *logits, std::size_t n, const Rule &rule, double u,
                 const Work<Real> &work, double *log_prob) {
  const std::size_t best = argmax(logits, n);
  const bool cold = !(rule.temperature > 0);
  const Real scale = cold ? Real{1} : static_cast<Real>(rule.temperature);
  // Scaled after the subtraction: however small T is, the largest is 0 and not infinite.
  for (std::size_t i = 0; i < n; ++i) {
    work.p[i] = exp_of((logits[i] - logits[best]) / scale);
  }
  const double sum = sum_of(n, [&](std::size_t i) CALM_LAMBDA { return work.p[i]; });
  std::size_t id = n;
  const bool filtered = rule.top_k > 0 || rule.top_p > 0 || rule.min_p > 0;
  if (!cold && filtered && std::isfinite(sum)) {
    for (std::size_t i = 0; i < n; ++i) {
      work.p[i] = static_cast<Real>(static_cast<double>(work.p[i]) / sum);
    }
    if (rule.min_p > 0) {
      keep_min_p(work.p, n, rule.min_p);
    }
    if (rule.top_k > 0) {
      keep_top_k(work, n, static_cast<std::size_t>(rule.top_k));
    }
    if (rule.top_p > 0) {
      keep_top_p(work, n, rule.top_p);
    }
    id = walk(work.p, n, u);
  }
  id =
      id == n ? best : id;  // greedy, and the way out when nothing is left or a logit is not finite
  *log_prob = static_cast<double>((logits[id] - logits[best]) / scale) - std::log(sum);
  return id;
}

}  // namespace

template <class Real>
std::size_t sample_plan(const Node &node) {
  return groups_of(node.extent(CALM_SAMPLE_LOGITS, 0)) *
         work_bytes<Real>(node.extent(CALM_SAMPLE_LOGITS, 1));
}

template <class Real>
void sample(const Call &call) {
  const std::size_t rows = call.extent(CALM_SAMPLE_LOGITS, 0);
  const std::size_t vocab = call.extent(CALM_SAMPLE_LOGITS, 1);
  const Real *const logits = call.in<Real>(CALM_SAMPLE_LOGITS);
  const Real *const given = call.in<Real>(CALM_SAMPLE_DRAW);
  const Rule rule = {.temperature = static_cast<double>(call.scalar<Real>(CALM_SAMPLE_TEMPERATURE)),
                     .top_p = static_cast<double>(call.scalar<Real>(CALM_SAMPLE_TOP_P)),
                     .min_p = static_cast<double>(call.scalar<Real>(CALM_SAMPLE_MIN_P)),
                     .top_k = call.scalar<std::int32_t>(CALM_SAMPLE_TOP_K)};
  const auto seed = static_cast<std::uint64_t>(call.scalar<std::int64_t>(CALM_SAMPLE_SEED));
  const auto micro_step =
      static_cast<std::uint32_t>(call.scalar<std::int32_t>(CALM_SAMPLE_MICRO_STEP));
  auto *const ids = call.out<std::int32_t>(CALM_SAMPLE_IDS);
  Real *const log_probs = call.out<Real>(CALM_SAMPLE_LOG_PROB);
  const std::size_t groups = groups_of(rows);
  const std::size_t bytes = work_bytes<Real>(vocab);
  if (vocab == 0) {
    return;
  }
  for_shards(call, groups, 60 * static_cast<double>(rows) * static_cast<double>(vocab),
             [&](std::size_t group, auto) CALM_LAMBDA {
               Scratch scratch(call.scratch() + group * bytes);
               const Work<Real> work(vocab, scratch);
               const auto [begin, end] = part(rows, groups, group);
               for (std::size_t row = begin; row < end; ++row) {
                 const calm_philox4 drawn = calm_philox(seed, 0, static_cast<std::uint32_t>(row),
                                                        micro_step, CALM_STREAM_SAMPLE);
                 const double u = given != nullptr
                                      ? static_cast<double>(given[row])
                                      : static_cast<double>(calm_uniform(drawn.word[0]));
                 double log_prob = 0;
                 const std::size_t id = pick(logits + row * vocab, vocab, rule, u, work, &log_prob);
                 if (ids != nullptr) {
                   ids[row] = static_cast<std::int32_t>(id);
                 }
                 if (log_probs != nullptr) {
                   log_probs[row] = static_cast<Real>(log_prob);
                 }
               }
             });
}

CALM_PLANNED_KERNEL(sample);

}  // namespace calm::reference
