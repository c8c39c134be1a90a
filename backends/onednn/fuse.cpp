#include "onednn/fuse.hpp"

#include <calm/ops/activation.h>
#include <calm/ops/elementwise.h>
#include <calm/ops/matmul.h>

#include <calm/cpp/value.hpp>

#include <algorithm>

namespace calm::onednn {
namespace {

class Fuser {
 public:
  Fuser(const calm_program &program, std::vector<NodeInfo> &nodes)
      : nodes_(nodes), uses_(program.tensors.count), overwrites_(program.tensors.count) {
    for (const NodeInfo &node : nodes) {
      for (std::size_t k = 0; k < node.inputs(); ++k) {
        if (node.operands[k] != CALM_NONE) {
          ++uses_[node.operands[k]];
        }
      }
    }
    for (std::uint32_t i = 0; i < uses_.size(); ++i) {
      const auto &tensor = record<calm_tensor>(program.tensors, i);
      // Others than nodes read it.
      uses_[i] += tensor.role == CALM_ROLE_TEMP && tensor.updates == CALM_NONE ? 0 : 2;
      overwrites_[i] = tensor.updates != CALM_NONE;
    }
  }

  std::uint32_t run() {
    std::vector<NodeInfo> kept;
    std::uint32_t gone = 0;
    for (std::size_t i = 0; i < nodes_.size();) {
      const std::size_t more = merge(i);
      kept.push_back(std::move(nodes_[i]));
      gone += static_cast<std::uint32_t>(more);
      i += 1 + more;
    }
    nodes_ = std::move(kept);
    return gone;
  }

 private:
  /// Merges the nodes after `i` into it, and says how many.
  std::size_t merge(std::size_t i) {
    NodeInfo &product = nodes_[i];
    if (product.kernel == nullptr || product.packed == CALM_NONE || product.onednn ||
        product.operands.size() != 3) {
      return 0;
    }
    const std::uint32_t out = product.operands[2];
    const std::size_t left = nodes_.size() - i - 1;
    if (left >= 1 && is(nodes_[i + 1], CALM_OP_ADD, out) && uses_[out] == 1 &&
        rows_added(nodes_[i + 1], out) != CALM_NONE) {
      const std::uint32_t operand = rows_added(nodes_[i + 1], out);
      add_input(product, nodes_[i + 1], operand);
      product.operands.back() = nodes_[i + 1].operands[2];
      return finish(product, 1);
    }
    if (left >= 1 && is(nodes_[i + 1], CALM_OP_GELU, out)) {
      add_activation(product, nodes_[i + 1]);
      return finish(product, 1);
    }
    if (left >= 2 && is(nodes_[i + 1], CALM_OP_ADD, out) && uses_[out] == 1 &&
        nodes_[i + 1].operands[0] == out && nodes_[i + 1].axes[1] == Axis::kWhole &&
        nodes_[i + 1].node.ins[1].rank == 1 &&
        is(nodes_[i + 2], CALM_OP_SOFTPLUS, nodes_[i + 1].operands[2])) {
      add_input(product, nodes_[i + 1], 1);
      product.operands.back() = nodes_[i + 1].operands[2];
      add_activation(product, nodes_[i + 2]);
      return finish(product, 2);
    }
    return 0;
  }

  /// A node that reads `reads` and whose result has memory of its own: merged with the product it
  /// would be written while the product still reads its operands.
  bool is(const NodeInfo &node, std::string_view op, std::uint32_t reads) const {
    const auto inputs = node.operands.begin() + static_cast<std::ptrdiff_t>(node.inputs());
    return node.kernel != nullptr && node.node.op == op && node.node.revision == 1 &&
           node.operands.back() != CALM_NONE && !overwrites_[node.operands.back()] &&
           std::find(node.operands.begin(), inputs, reads) != inputs;
  }
  /// The operand number of the rows added to `product`, CALM_NONE when it is not rows.
  static std::uint32_t rows_added(const NodeInfo &node, std::uint32_t product) {
    const std::uint32_t other = node.operands[0] == product ? 1 : 0;
    return node.axes[other] == Axis::kRows && node.operands[other] != product ? other : CALM_NONE;
  }
  static void add_input(NodeInfo &product, const NodeInfo &from, std::uint32_t operand) {
    product.operands.insert(product.operands.begin() + 2, from.operands[operand]);
    product.node.ins.push_back(from.node.ins[operand]);
  }
  /// The activation's result; what it is of stays an output where it has other readers.
  void add_activation(NodeInfo &product, const NodeInfo &activation) {
    std::uint32_t &before = product.operands.back();
    if (uses_[before] == 1) {
      before = CALM_NONE;
      product.node.outs[0] = {};
    }
    product.operands.push_back(activation.operands[1]);
    product.node.outs.push_back(activation.node.outs[0]);
  }
  static std::size_t finish(NodeInfo &product, std::size_t merged) {
    for (std::size_t k = 1; k <= merged; ++k) {
      product.node.op += "+" + (&product)[k].node.op;
    }
    product.kernel = matmul_kernel(product.node, product.weights);
    set_axes(product);
    return merged;
  }

  std::vector<NodeInfo> &nodes_;
  std::vector<std::uint32_t> uses_;
  std::vector<bool> overwrites_;  // by tensor
};

}  // namespace

std::uint32_t fuse_products(const calm_program &program, std::vector<NodeInfo> &nodes) {
  return Fuser(program, nodes).run();
}

}  // namespace calm::onednn
