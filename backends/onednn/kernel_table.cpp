#include "onednn/kernel_table.hpp"

namespace calm::onednn {

// One name a kernel. Where several do the same operator, the first that fits is taken.
#define CALM_ONEDNN_KERNELS(X) \
  X(Accumulate)                \
  X(Adamw)                     \
  X(Add)                       \
  X(BroadcastAll)              \
  X(BroadcastColumns)          \
  X(BroadcastRows)             \
  X(CausalConvSilu)            \
  X(CausalConvSiluGrad)        \
  X(Concat)                    \
  X(CrossEntropy)              \
  X(CrossEntropyGrad)          \
  X(Div)                       \
  X(Embedding)                 \
  X(EmbeddingGrad)             \
  X(EwcPenalty)                \
  X(Exp)                       \
  X(Fisher)                    \
  X(GatedSilu)                 \
  X(GatedSiluGrad)             \
  X(Gelu)                      \
  X(GeluGrad)                  \
  X(LayerNorm)                 \
  X(LayerNormGrad)             \
  X(Mul)                       \
  X(Neg)                       \
  X(Sample)                    \
  X(SelectiveScan)             \
  X(SelectiveScanGrad)         \
  X(Sigmoid)                   \
  X(Silu)                      \
  X(SiluGrad)                  \
  X(Softplus)                  \
  X(SoftplusGrad)              \
  X(Split)                     \
  X(Sqrt)                      \
  X(Square)                    \
  X(Sub)                       \
  X(SumAll)                    \
  X(SumColumns)                \
  X(SumRows)                   \
  X(Tanh)

#define CALM_DECLARE(name) extern const Kernel k##name;
CALM_ONEDNN_KERNELS(CALM_DECLARE)

namespace {

#define CALM_ENTRY(name) &k##name,
const Kernel *const kKernels[] = {CALM_ONEDNN_KERNELS(CALM_ENTRY)};

}  // namespace

const Kernel *find_kernel(const Node &node) {
  for (const Kernel *const kernel : kKernels) {
    if (kernel->op == node.op && kernel->revision == node.revision &&
        (kernel->fits == nullptr || kernel->fits(node))) {
      return kernel;
    }
  }
  return nullptr;
}

}  // namespace calm::onednn
