#pragma once

#include "cuda/blas.hpp"
#include "cuda/kernel.hpp"

namespace calm::cuda {

/// The sizes of a matmul node if it finished its values so; no addresses, and rows as wide as they
/// are where the node has no strides yet.
Product product_of(const Node &node, Finish finish);

}  // namespace calm::cuda
