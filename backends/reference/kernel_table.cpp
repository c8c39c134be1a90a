#include "kernel_table.hpp"

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <string>

#include "signature.hpp"

// One line an operator: name, revision, operands. K: a kernel alone; P: a kernel with a plan
// function.
#define CALM_REFERENCE_KERNELS(K, P)                                                           \
  K(accumulate, 1, "r* r* i[] -> r*")                                                          \
  K(adamw, 1, "r[n] r[n] r[n] r[n] r[] r[] r[] r[] i[] | ffff -> r[n] r[n] r[n]")              \
  K(add, 1, "r* r~ -> r*")                                                                     \
  K(all_reduce, 1, "r* -> r*")                                                                 \
  P(broadcast, 1, "r. r. | i -> r.")                                                           \
  P(cast, 1, "a* | i -> a*")                                                                   \
  P(causal_conv_silu, 1, "r[T,E] r[E,K] i[S+1] r[S,E,K]? -> r[T,E] r[S,E,K]")                  \
  P(causal_conv_silu_grad, 1, "r[T,E] r[E,K] i[S+1] r[T,E] -> r[T,E] r[E,K]")                  \
  P(concat, 1, "r[T,_]{8} -> r[T,d]")                                                          \
  P(cross_entropy, 1, "r[T,V] i[T] -> r[] r[T]")                                               \
  K(cross_entropy_grad, 1, "r[T,V] i[T] r[T] r[] -> r[T,V]")                                   \
  K(div, 1, "r* r~ -> r*")                                                                     \
  K(embedding, 1, "i[T] r[V,d] -> r[T,d]")                                                     \
  P(embedding_grad, 1, "i[T] r[T,d] | i -> r[V,d]")                                            \
  P(ewc_penalty, 1, "r[n] r[n] r[n] r[n] r[] -> r[n] r[]")                                     \
  K(exp, 1, "r* -> r*")                                                                        \
  P(fill, 1, "a* | f -> a*")                                                                   \
  K(fisher, 1, "r[n] r[n] r[] r[] -> r[n]")                                                    \
  K(gated_silu, 1, "r* r* -> r*")                                                              \
  K(gated_silu_grad, 1, "r* r* r* -> r* r*")                                                   \
  K(gelu, 1, "r* -> r*")                                                                       \
  K(gelu_grad, 1, "r* r* -> r*")                                                               \
  P(global_norm, 1, "r.{8} | f -> r[] r[] i[]")                                                \
  K(guard, 1, "i[] i[] -> i[] i[]")                                                            \
  K(l2_normalize, 1, "r[T,d] | f -> r[T,d] r[T]")                                              \
  K(l2_normalize_grad, 1, "r[T,d] r[T] r[T,d] | f -> r[T,d]")                                  \
  K(layer_norm, 1, "r[T,d] r[d] r[d] | f -> r[T,d] r[T] r[T]")                                 \
  P(layer_norm_grad, 1, "r[T,d] r[d] r[T] r[T] r[T,d] -> r[T,d] r[d] r[d]")                    \
  K(log, 1, "r* -> r*")                                                                        \
  P(matmul, 1, "r[A,B] r[C,D] | bb -> r[M,N]")                                                 \
  K(mul, 1, "r* r~ -> r*")                                                                     \
  K(neg, 1, "r* -> r*")                                                                        \
  P(pool, 1, "r[T,d] i[S+1] | i -> r[S,d]")                                                    \
  P(pool_grad, 1, "r[T,d] i[S+1] r[S,d] | i -> r[T,d]")                                        \
  K(random_normal, 1, "r* l[] i[] i[] r*? | i -> r*")                                          \
  K(random_uniform, 1, "r* l[] i[] i[] r*? | i -> r*")                                         \
  P(record, 1, "r[R,M] i[] a[]{6} -> r[R,M]")                                                  \
  P(sample, 1, "r[S,V] r[] i[] r[] r[] l[] i[] r[S]? -> i[S] r[S]")                            \
  P(selective_scan, 1,                                                                         \
    "r[T,E] r[T,E] r[E,N] r[T,N] r[T,N] r[E] i[S+1] r[S,E,N]? -> r[T,E] r[T/64,E,N] r[S,E,N]") \
  P(selective_scan_grad, 1,                                                                    \
    "r[T,E] r[T,E] r[E,N] r[T,N] r[T,N] r[E] i[S+1] r[T/64,E,N] r[T,E] "                       \
    "-> r[T,E] r[T,E] r[E,N] r[T,N] r[T,N] r[E]")                                              \
  K(sigmoid, 1, "r* -> r*")                                                                    \
  K(silu, 1, "r* -> r*")                                                                       \
  K(silu_grad, 1, "r* r* -> r*")                                                               \
  K(softplus, 1, "r* -> r*")                                                                   \
  K(softplus_grad, 1, "r* r* -> r*")                                                           \
  P(split, 1, "r[T,d] | iiiiiiii -> r[T,_]{8}")                                                \
  K(sqrt, 1, "r* -> r*")                                                                       \
  K(square, 1, "r* -> r*")                                                                     \
  K(sub, 1, "r* r~ -> r*")                                                                     \
  P(sum, 1, "r. | i -> r.")                                                                    \
  K(tanh, 1, "r* -> r*")

namespace calm::reference {

#define CALM_DECLARE(name, revision, signature) \
  template <class Real>                         \
  void name(const Call &call);
#define CALM_DECLARE_PLANNED(name, revision, signature) \
  CALM_DECLARE(name, revision, signature)               \
  template <class Real>                                 \
  std::size_t name##_plan(const Node &node);
CALM_REFERENCE_KERNELS(CALM_DECLARE, CALM_DECLARE_PLANNED)

namespace {

// The arguments name functions and templates: parentheses would change what they mean.
// NOLINTBEGIN(bugprone-macro-parentheses)
constexpr KernelEntry kKernels[] = {
#define CALM_ENTRY(name, revision, signature) \
  {#name, revision, signature, &name<float>, &name<double>, nullptr, nullptr},
#define CALM_ENTRY_PLANNED(name, revision, signature) \
  {#name,                                             \
   revision,                                          \
   signature,                                         \
   &name<float>,                                      \
   &name<double>,                                     \
   &name##_plan<float>,                               \
   &name##_plan<double>},
    CALM_REFERENCE_KERNELS(CALM_ENTRY, CALM_ENTRY_PLANNED)};
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace

const KernelEntry *find_kernel(std::string_view op, std::uint32_t revision) {
  for (const KernelEntry &entry : kKernels) {
    if (entry.op == op && entry.revision == revision) {
      return &entry;
    }
  }
  return nullptr;
}

void resolve(Node &node) {
  const KernelEntry *const entry = find_kernel(node.op, node.revision);
  if (entry == nullptr) {
    throw Error(CALM_UNSUPPORTED, "no kernel for " + node.op + "/" + std::to_string(node.revision));
  }
  const calm_dtype real = match_signature(node, entry->signature);
  if (real != 0 && real != CALM_F32 && real != CALM_F64) {
    throw Error(CALM_UNSUPPORTED, "no " + std::string(dtype_name(real)) + " kernel for " + node.op);
  }
  const bool wide = real == CALM_F64;
  node.run = wide ? entry->f64 : entry->f32;
  const PlanKernel plan = wide ? entry->plan_f64 : entry->plan_f32;
  node.scratch = plan == nullptr ? 0 : plan(node);
}

}  // namespace calm::reference
