#pragma once

#include "cuda/blas.hpp"
#include "cuda/kernel.hpp"

namespace calm::cuda {

/// The sizes of a matmul node if it finished its values so; no addresses, and rows as wide as they
/// are where the node has no strides yet.
Product product_of(const Node &node, Finish finish);

/// A launch of a matmul node with its addresses. No product is done where `out` is null, m or n is
/// 0; none by the library where k is.
Product product_of(const Launch &launch);

}  // namespace calm::cuda
