#include "cuda/kernel_table.hpp"

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "reference/kernel_table.hpp"

// One line an operator. K: a kernel alone; P: a kernel with a plan function; A: of any dtype; J:
// one that does several nodes at a time; AJ: both.
#define CALM_CUDA_KERNELS(K, P, A, J, AJ) \
  J(accumulate)                           \
  J(adamw)                                \
  K(add)                                  \
  K(all_reduce)                           \
  K(broadcast)                            \
  AJ(cast)                                \
  P(causal_conv_silu)                     \
  P(causal_conv_silu_grad)                \
  K(concat)                               \
  P(cross_entropy)                        \
  K(cross_entropy_grad)                   \
  K(div)                                  \
  K(embedding)                            \
  K(embedding_grad)                       \
  P(ewc_penalty)                          \
  K(exp)                                  \
  A(fill)                                 \
  K(fisher)                               \
  K(gated_silu)                           \
  K(gated_silu_grad)                      \
  K(gelu)                                 \
  K(gelu_grad)                            \
  P(global_norm)                          \
  K(guard)                                \
  K(l2_normalize)                         \
  K(l2_normalize_grad)                    \
  K(layer_norm)                           \
  P(layer_norm_grad)                      \
  K(log)                                  \
  K(matmul)                               \
  K(mul)                                  \
  K(neg)                                  \
  K(pool)                                 \
  K(pool_grad)                            \
  K(random_normal)                        \
  K(random_uniform)                       \
  K(record)                               \
  P(sample)                               \
  P(selective_scan)                       \
  P(selective_scan_grad)                  \
  K(sigmoid)                              \
  K(silu)                                 \
  K(silu_grad)                            \
  K(softplus)                             \
  K(softplus_grad)                        \
  K(split)                                \
  K(sqrt)                                 \
  K(square)                               \
  K(sub)                                  \
  P(sum)                                  \
  K(tanh)

// The backend's own (fused.hpp).
#define CALM_CUDA_OWN_KERNELS(OwnP, OwnPJ) \
  OwnP(guarded_norm) OwnP(loss) OwnP(mixer) OwnP(mixer_grad) OwnPJ(sum_columns)

namespace calm::cuda {

#define CALM_DECLARE(name) void name(const Launch &launch);
#define CALM_DECLARE_PLANNED(name) \
  CALM_DECLARE(name)               \
  std::size_t name##_plan(const Node &node);
#define CALM_DECLARE_JOINED(name) \
  CALM_DECLARE(name)              \
  void name##_joined(const Launch *launches, std::size_t n);
#define CALM_DECLARE_PLANNED_JOINED(name) \
  CALM_DECLARE_JOINED(name)               \
  std::size_t name##_plan(const Node &node);
CALM_CUDA_KERNELS(CALM_DECLARE, CALM_DECLARE_PLANNED, CALM_DECLARE, CALM_DECLARE_JOINED,
                  CALM_DECLARE_JOINED)
CALM_CUDA_OWN_KERNELS(CALM_DECLARE_PLANNED, CALM_DECLARE_PLANNED_JOINED)

namespace {

constexpr KernelEntry kKernels[] = {
#define CALM_ENTRY(name) {#name, &name, nullptr, false, nullptr},
#define CALM_ENTRY_PLANNED(name) {#name, &name, &name##_plan, false, nullptr},
#define CALM_ENTRY_ANY(name) {#name, &name, nullptr, true, nullptr},
#define CALM_ENTRY_JOINED(name) {#name, &name, nullptr, false, &name##_joined},
#define CALM_ENTRY_ANY_JOINED(name) {#name, &name, nullptr, true, &name##_joined},
#define CALM_ENTRY_PLANNED_JOINED(name) {#name, &name, &name##_plan, false, &name##_joined},
    CALM_CUDA_KERNELS(CALM_ENTRY, CALM_ENTRY_PLANNED, CALM_ENTRY_ANY, CALM_ENTRY_JOINED,
                      CALM_ENTRY_ANY_JOINED)
        CALM_CUDA_OWN_KERNELS(CALM_ENTRY_PLANNED, CALM_ENTRY_PLANNED_JOINED)};

/// Kernels count elements in 32 bits.
void check_operand(const Node &node, const KernelEntry &entry, const calm_type &type) {
  if (!entry.any_dtype && type.dtype == CALM_F64) {
    throw Error(CALM_UNSUPPORTED, "no f64 kernel for " + node.op);
  }
  if (count(type) > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    throw Error(CALM_UNSUPPORTED, "no kernel for " + node.op + " of " + describe(type));
  }
}

}  // namespace

const KernelEntry *find_kernel(std::string_view op, std::uint32_t revision) {
  const auto *const entry =
      std::find_if(std::begin(kKernels), std::end(kKernels),
                   [&](const KernelEntry &e) { return e.op == op && revision == 1; });
  return entry == std::end(kKernels) ? nullptr : entry;
}

void choose_kernel(Node &node) {
  const KernelEntry *const entry = find_kernel(node.op, node.revision);
  if (entry == nullptr) {
    throw Error(CALM_UNSUPPORTED, "no kernel for " + node.op + "/" + std::to_string(node.revision));
  }
  for (const std::vector<calm_type> *const types : {&node.ins, &node.outs}) {
    for (const calm_type &type : *types) {
      check_operand(node, *entry, type);
    }
  }
  node.launch = entry->launch;
  node.join = entry->join;
  node.scratch = entry->plan == nullptr ? 0 : entry->plan(node);
}

void resolve(Node &node) {
  if (find_kernel(node.op, node.revision) != nullptr) {
    reference::resolve(node);
  }
  choose_kernel(node);
}

}  // namespace calm::cuda
