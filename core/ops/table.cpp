#include "core/ops/table.hpp"

#include <algorithm>
#include <iterator>

// X(id, revision): defined in core/ops by `calm_operator define_<id>()`, contract in calm/ops.
#define CALM_OPERATORS(X)     \
  X(embedding, 1)             \
  X(embedding_grad, 1)        \
  X(matmul, 1)                \
  X(layer_norm, 1)            \
  X(layer_norm_grad, 1)       \
  X(l2_normalize, 1)          \
  X(l2_normalize_grad, 1)     \
  X(gelu, 1)                  \
  X(gelu_grad, 1)             \
  X(silu, 1)                  \
  X(silu_grad, 1)             \
  X(softplus, 1)              \
  X(softplus_grad, 1)         \
  X(causal_conv_silu, 1)      \
  X(causal_conv_silu_grad, 1) \
  X(selective_scan, 1)        \
  X(selective_scan_grad, 1)   \
  X(gated_silu, 1)            \
  X(gated_silu_grad, 1)       \
  X(cross_entropy, 1)         \
  X(cross_entropy_grad, 1)    \
  X(add, 1)                   \
  X(sub, 1)                   \
  X(mul, 1)                   \
  X(div, 1)                   \
  X(neg, 1)                   \
  X(exp, 1)                   \
  X(log, 1)                   \
  X(sqrt, 1)                  \
  X(square, 1)                \
  X(sigmoid, 1)               \
  X(tanh, 1)                  \
  X(sum, 1)                   \
  X(broadcast, 1)             \
  X(split, 1)                 \
  X(concat, 1)                \
  X(fill, 1)                  \
  X(cast, 1)                  \
  X(pool, 1)                  \
  X(pool_grad, 1)             \
  X(accumulate, 1)            \
  X(all_reduce, 1)            \
  X(global_norm, 1)           \
  X(guard, 1)                 \
  X(adamw, 1)                 \
  X(ewc_penalty, 1)           \
  X(fisher, 1)                \
  X(record, 1)                \
  X(random_uniform, 1)        \
  X(random_normal, 1)         \
  X(sample, 1)

namespace calm::ops {

#define CALM_DECLARE(id, revision) calm_operator define_##id();
CALM_OPERATORS(CALM_DECLARE)
#undef CALM_DECLARE

std::span<const OperatorEntry> operators() {
#define CALM_ENTRY(id, revision) OperatorEntry{#id, revision, define_##id()},
  static const OperatorEntry kOperators[] = {CALM_OPERATORS(CALM_ENTRY)};
#undef CALM_ENTRY
  return kOperators;
}

const calm_operator *find_operator(std::string_view id, std::uint32_t revision) {
  const std::span<const OperatorEntry> all = operators();
  const auto found = std::find_if(all.begin(), all.end(), [&](const OperatorEntry &entry) {
    return entry.id == id && entry.revision == revision;
  });
  return found == all.end() ? nullptr : &found->table;
}

}  // namespace calm::ops
