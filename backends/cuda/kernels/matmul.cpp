// out = op(a) op(b) by cuBLASLt (cuda/blas.hpp), finished as the node says.
#include <calm/ops/matmul.h>

#include "cuda/blas.hpp"
#include "cuda/error.hpp"
#include "cuda/kernel.hpp"
#include "cuda/kernels/product.hpp"

namespace calm::cuda {

Product product_of(const Node &node, Finish finish) {
  Product p{};
  p.transpose_a = node.attrs[CALM_MATMUL_TRANSPOSE_A].i64 != 0;
  p.transpose_b = node.attrs[CALM_MATMUL_TRANSPOSE_B].i64 != 0;
  const calm_type &a = node.ins[CALM_MATMUL_A];
  const calm_type &b = node.ins[CALM_MATMUL_B];
  p.m = a.shape[p.transpose_a ? 1 : 0];
  p.k = a.shape[p.transpose_a ? 0 : 1];
  p.n = b.shape[p.transpose_b ? 0 : 1];
  if (a.axis0 == CALM_AXIS_TOKENS) {
    p.tokens = p.transpose_a ? Tokens::kK : Tokens::kM;
  }
  p.type = a.dtype;
  p.out_type = node.outs[0].dtype;
  p.finish = finish;
  const bool placed = !node.strides.empty();
  p.lda = placed ? node.strides[CALM_MATMUL_A] : a.shape[1];
  p.ldb = placed ? node.strides[CALM_MATMUL_B] : b.shape[1];
  p.ld_out = placed ? node.strides[node.ins.size()] : p.n;
  p.ld_with = placed && finish != Finish::kNone
                  ? node.strides[finish == Finish::kGelu ? node.ins.size() + 1 : 2]
                  : p.n;
  return p;
}

Product product_of(const Launch &launch) {
  const Node &node = launch.node();
  Product p = product_of(node, node.finish);
  p.a = launch.in<void>(CALM_MATMUL_A);
  p.b = launch.in<void>(CALM_MATMUL_B);
  p.out = launch.out<void>(0);
  // Read by those that have it as an input.
  p.with = node.finish == Finish::kNone   ? nullptr
           : node.finish == Finish::kGelu ? launch.out<void>(1)
                                          : const_cast<void *>(launch.in<void>(2));
  return p;
}

void matmul(const Launch &launch) {
  const Product p = product_of(launch);
  if (p.out == nullptr || p.m == 0 || p.n == 0) {
    return;
  }
  if (p.k == 0) {
    const std::size_t element = p.out_type == CALM_BF16 ? 2 : sizeof(float);
    check(cudaMemset2DAsync(p.out, static_cast<std::size_t>(p.ld_out) * element, 0,
                            static_cast<std::size_t>(p.n) * element, static_cast<std::size_t>(p.m),
                            launch.stream()),
          "clearing a product");
    return;
  }
  launch.blas().multiply(p, launch.side(), launch.stream());
}

}  // namespace calm::cuda
