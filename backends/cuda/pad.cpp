// Rows of x_proj's weight, and with them columns of q and of its gradient, in eights. R + 2 N of
// them are 36, 38, 40 and 44 (nano to small); of a size that is no multiple of 8 cuBLASLt's kernels
// read bf16 two elements at a time and take up to three times as long.
#include <calm/ops/cast.h>
#include <calm/ops/matmul.h>
#include <calm/ops/optimizer.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include "cuda/fused.hpp"
#include "cuda/graph.hpp"

namespace calm::cuda {
namespace {

using Ids = std::vector<std::uint32_t>;

bool is_bare_product(const Node &node) {
  return node.op == CALM_OP_MATMUL && node.finish == Finish::kNone;
}
bool transposed(const Node &product, std::uint32_t attr) { return product.attrs[attr].i64 != 0; }

/// Who makes and who reads each value.
struct Uses {
  Ids makers;
  std::vector<Ids> users;
  explicit Uses(const Graph &graph) : makers(graph.makers()), users(graph.users()) {}
};

bool is_bf16(const Graph &graph, std::uint32_t id) {
  const Value &value = graph.values[id];
  return value.plain && !value.columns && value.root == id && value.type.dtype == CALM_BF16;
}

/// Whether `q` is made by a product and read by mixers alone.
bool is_q(const Graph &graph, const Uses &uses, std::uint32_t q) {
  return is_bf16(graph, q) &&
         std::all_of(uses.users[q].begin(), uses.users[q].end(), [&](std::uint32_t n) {
           const Node &node = graph.nodes[n];
           return (node.op == kMixer || node.op == kMixerGrad) && node.operands[kMixerQ] == q &&
                  std::count(node.operands.begin(), node.operands.end(), q) == 1;
         });
}

/// Whether the gradient of a weight can have rows that nobody reads.
bool can_be_longer(const Graph &graph, const Uses &uses, std::uint32_t grad) {
  return graph.values[grad].plain &&
         std::all_of(uses.users[grad].begin(), uses.users[grad].end(), [&](std::uint32_t n) {
           const Node &node = graph.nodes[n];
           return node.op == CALM_OP_ACCUMULATE && node.operands[CALM_ACCUMULATE_VALUE] == grad &&
                  node.operands[CALM_ACCUMULATE_SUM] != grad;
         });
}

/// Whether a mixer makes `grad_q`, and products alone read it; adds what becomes longer with it.
bool is_grad_q(const Graph &graph, const Uses &uses, std::uint32_t grad_q,
               std::set<std::uint32_t> &longer) {
  if (!is_bf16(graph, grad_q) || uses.makers[grad_q] == CALM_NONE) {
    return false;
  }
  const Node &maker = graph.nodes[uses.makers[grad_q]];
  if (maker.op != kMixerGrad || maker.operands[maker.ins.size() + kMixerGradQ] != grad_q) {
    return false;
  }
  for (const std::uint32_t n : uses.users[grad_q]) {
    const Node &node = graph.nodes[n];
    if (!is_bare_product(node) || node.operands[CALM_MATMUL_A] != grad_q ||
        node.operands[CALM_MATMUL_B] == grad_q) {
      return false;
    }
    if (transposed(node, CALM_MATMUL_TRANSPOSE_A)) {
      const std::uint32_t grad = node.operands.back();
      if (!can_be_longer(graph, uses, grad)) {
        return false;
      }
      longer.insert(grad);
    }
  }
  return true;
}

/// What has a row or a column for each row of this weight's copy, if all of that can have more.
bool all_of_width(const Graph &graph, const Uses &uses, std::uint32_t weight,
                  std::set<std::uint32_t> &longer, std::set<std::uint32_t> &wider) {
  for (const std::uint32_t n : uses.users[weight]) {
    const Node &node = graph.nodes[n];
    if (!is_bare_product(node) || node.operands[CALM_MATMUL_B] != weight ||
        transposed(node, CALM_MATMUL_TRANSPOSE_A)) {
      return false;
    }
    const bool forward = transposed(node, CALM_MATMUL_TRANSPOSE_B);
    const std::uint32_t with = forward ? node.operands.back() : node.operands[CALM_MATMUL_A];
    if (forward ? !is_q(graph, uses, with) : !is_grad_q(graph, uses, with, longer)) {
      return false;
    }
    wider.insert(with);
  }
  return !wider.empty();
}

std::int64_t padded(std::int64_t n) { return div_up(n, kAligned) * kAligned; }

}  // namespace

void pad_products(Graph &graph) {
  const Uses uses(graph);
  for (const Node &cast : graph.nodes) {
    const std::uint32_t weight = cast.operands.empty() ? CALM_NONE : cast.operands.back();
    if (cast.op != CALM_OP_CAST || weight == CALM_NONE || !is_bf16(graph, weight) ||
        graph.values[weight].type.rank != 2 || graph.values[weight].type.shape[0] % kAligned == 0) {
      continue;
    }
    std::set<std::uint32_t> longer;
    std::set<std::uint32_t> wider;
    if (!all_of_width(graph, uses, weight, longer, wider)) {
      continue;
    }
    longer.insert(weight);
    for (const std::uint32_t id : longer) {
      std::int64_t &rows = graph.values[id].type.shape[0];
      rows = padded(rows);
    }
    for (const std::uint32_t id : wider) {
      Value &value = graph.values[id];
      value.type.shape[1] = padded(value.type.shape[1]);
      value.stride = 0;
    }
  }
  refresh_types(graph);
}

}  // namespace calm::cuda
