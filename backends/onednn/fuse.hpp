// Products that finish their values before they store them.
#pragma once

#include "onednn/nodes.hpp"

namespace calm::onednn {

/// What a product does with a value besides storing it; told apart by its operands, so that a
/// kernel needs no name:
///   a, b            -> out
///   a, b, rows      -> product + rows
///   a, b            -> product (or absent), gelu(product)
///   a, b, bias      -> product + bias (or absent), softplus(product + bias)
enum class Finish { kNone, kAdd, kGelu, kBiasSoftplus };
inline Finish finish_of(const Node &node) {
  const bool more = node.ins.size() > 2;
  return node.outs.size() > 1 ? (more ? Finish::kBiasSoftplus : Finish::kGelu)
                              : (more ? Finish::kAdd : Finish::kNone);
}

/// Merges a product with what follows it directly: the addition of rows, gelu, a bias and softplus.
/// The value between is not stored unless somebody else wants it. Returns how many nodes went.
std::uint32_t fuse_products(const calm_program &program, std::vector<NodeInfo> &nodes);

}  // namespace calm::onednn
