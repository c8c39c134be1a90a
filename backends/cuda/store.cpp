// How values are stored: activations as bf16, parts of wider tensors in place.
#include <calm/ops/activation.h>
#include <calm/ops/cast.h>
#include <calm/ops/causal_conv_silu.h>
#include <calm/ops/columns.h>
#include <calm/ops/cross_entropy.h>
#include <calm/ops/elementwise.h>
#include <calm/ops/layer_norm.h>
#include <calm/ops/matmul.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "cuda/fused.hpp"
#include "cuda/graph.hpp"

namespace calm::cuda {
namespace {

constexpr std::uint32_t bit(std::uint32_t i) { return 1U << i; }

/// The operands, inputs first, that a kernel takes as f32 or bf16; if `alike` all of one type.
struct Flexible {
  std::string_view op;
  std::uint32_t ins, outs;
  bool alike;
};
constexpr Flexible kFlexible[] = {
    {CALM_OP_MATMUL, bit(0) | bit(1), bit(0), false},
    {CALM_OP_LAYER_NORM, 0, bit(CALM_LAYER_NORM_Y), false},
    {kNormGrad, bit(CALM_LAYER_NORM_GRAD_GRAD), bit(kNormGradCopy), false},
    {CALM_OP_CAUSAL_CONV_SILU, bit(CALM_CAUSAL_CONV_SILU_X), bit(CALM_CAUSAL_CONV_SILU_Y), true},
    {kConvGrad, bit(CALM_CAUSAL_CONV_SILU_GRAD_X) | bit(CALM_CAUSAL_CONV_SILU_GRAD_GRAD),
     bit(kConvGradX), true},
    {kMixer, bit(kMixerS) | bit(kMixerQ) | bit(kMixerZ),
     bit(kMixerG) | bit(kMixerY) | bit(kMixerStates), true},
    {kMixerGrad,
     bit(kMixerS) | bit(kMixerQ) | bit(kMixerZ) | bit(kMixerGradY) | bit(kMixerGradStates) |
         bit(kMixerGradG),
     bit(kMixerGradS) | bit(kMixerGradQ) | bit(kMixerGradZ), true},
    {CALM_OP_CROSS_ENTROPY_GRAD, 0, bit(0), false},
    {kLoss, 0, bit(1), false},
    {CALM_OP_ADD, bit(0) | bit(1), bit(0), true},
    {CALM_OP_GELU, bit(0), bit(0), true},
    {CALM_OP_GELU_GRAD, bit(0) | bit(1), bit(0), true},
};

/// Those that also take columns of a wider tensor.
constexpr Flexible kStrided[] = {
    {CALM_OP_MATMUL, bit(0) | bit(1), bit(0), false},
    {CALM_OP_CAUSAL_CONV_SILU, bit(CALM_CAUSAL_CONV_SILU_X), bit(CALM_CAUSAL_CONV_SILU_Y), false},
    {kConvGrad, bit(CALM_CAUSAL_CONV_SILU_GRAD_X) | bit(CALM_CAUSAL_CONV_SILU_GRAD_GRAD),
     bit(kConvGradX), false},
    {kMixer, bit(kMixerS) | bit(kMixerQ) | bit(kMixerZ), bit(kMixerG) | bit(kMixerY), false},
    {kMixerGrad, bit(kMixerS) | bit(kMixerQ) | bit(kMixerZ) | bit(kMixerGradY) | bit(kMixerGradG),
     bit(kMixerGradS) | bit(kMixerGradQ) | bit(kMixerGradZ), false},
};

template <std::size_t kN>
const Flexible *find(const Flexible (&table)[kN], const Node &node) {
  const auto *const found = std::find_if(std::begin(table), std::end(table),
                                         [&](const Flexible &f) { return f.op == node.op; });
  return found == std::end(table) ? nullptr : found;
}

bool takes(const Flexible *flexible, const Node &node, std::size_t operand) {
  if (flexible == nullptr) {
    return false;
  }
  const std::size_t ins = node.ins.size();
  return operand < ins ? (flexible->ins >> operand & 1U) != 0
                       : (flexible->outs >> (operand - ins) & 1U) != 0;
}

template <class Body>
void each_operand(const Graph &graph, Body &&body) {
  for (const Node &node : graph.nodes) {
    for (std::size_t i = 0; i < node.operands.size(); ++i) {
      if (node.operands[i] != CALM_NONE) {
        body(node, i, node.operands[i]);
      }
    }
  }
}

/// A gradient of layer_norm that reads bf16 writes bf16 too.
bool makes_copy(const Graph &graph, const Node &node) {
  return node.op == kNormGrad && node.outs.size() == kNormGradCopy &&
         graph.values[node.operands[CALM_LAYER_NORM_GRAD_GRAD]].type.dtype == CALM_BF16;
}

/// By value: the node behind which all of it is there. What consists of views is made by those
/// that make the views.
std::vector<std::uint32_t> makers_of_all(const Graph &graph) {
  std::vector<std::uint32_t> makers = graph.makers();
  for (std::size_t v = 0; v < makers.size(); ++v) {
    std::uint32_t &whole = makers[graph.values[v].root];
    if (graph.values[v].columns && makers[v] != CALM_NONE &&
        (whole == CALM_NONE || makers[v] > whole)) {
      whole = makers[v];
    }
  }
  return makers;
}

bool is_product(const Node &node) { return node.op == CALM_OP_MATMUL; }

/// By value: whether it becomes bf16. A node whose operands are alike drags them along until
/// nothing changes any more.
std::vector<bool> choose_bf16(const Graph &graph) {
  std::vector<bool> narrow(graph.values.size());
  for (std::size_t v = 0; v < narrow.size(); ++v) {
    const Value &value = graph.values[v];
    narrow[v] = value.plain && value.type.dtype == CALM_F32 &&
                value.type.axis0 == CALM_AXIS_TOKENS && value.type.rank == 2;
  }
  each_operand(graph, [&](const Node &node, std::size_t i, std::uint32_t id) {
    narrow[id] = narrow[id] && takes(find(kFlexible, node), node, i);
  });
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t v = 0; v < narrow.size(); ++v) {
      const std::uint32_t root = graph.values[v].root;
      if (narrow[v] != narrow[root]) {
        narrow[v] = false;
        narrow[root] = false;
        changed = true;
      }
    }
    for (const Node &node : graph.nodes) {
      const Flexible *const flexible = find(kFlexible, node);
      if (flexible == nullptr) {
        continue;
      }
      std::vector<std::uint32_t> group;
      for (std::size_t i = 0; i < node.operands.size() && flexible->alike; ++i) {
        if (node.operands[i] != CALM_NONE && takes(flexible, node, i)) {
          group.push_back(node.operands[i]);
        }
      }
      const bool all = std::all_of(group.begin(), group.end(), [&](auto id) { return narrow[id]; });
      for (const std::uint32_t id : group) {
        changed = changed || (!all && narrow[id]);
        narrow[id] = all;
      }
    }
  }
  return narrow;
}

bool moves_columns(const Node &node) {
  return node.op == CALM_OP_SPLIT || node.op == CALM_OP_CONCAT;
}

/// By value: whether it is a plain one that only nodes touch which take strides, but for `except`
/// many splits and concatenations.
std::vector<bool> take_strides(const Graph &graph, int except) {
  std::vector<bool> strided(graph.values.size(), true);
  std::vector<int> moves(graph.values.size());
  each_operand(graph, [&](const Node &node, std::size_t i, std::uint32_t id) {
    moves[id] += moves_columns(node) ? 1 : 0;
    strided[id] = strided[id] && graph.values[id].plain && moves[id] <= except &&
                  (moves_columns(node) || takes(find(kStrided, node), node, i));
  });
  return strided;
}

}  // namespace

void store_as_bf16(Graph &graph) {
  const std::vector<bool> narrow = choose_bf16(graph);
  const std::vector<bool> strided = take_strides(graph, 0);
  for (std::size_t v = 0; v < narrow.size(); ++v) {
    Value &value = graph.values[v];
    if (narrow[v]) {
      value.type.dtype = CALM_BF16;
      value.at /= 2;
      if (strided[v] && !value.columns) {
        // Products are several times faster where rows begin at 16 bytes.
        value.stride = div_up(value.type.shape[1], kAligned) * kAligned;
      }
    }
  }
  // Products read bf16 only. Weights are cast first of all, in one launch; a gradient by the node
  // that makes it where that can, else behind it.
  const std::vector<std::uint32_t> makers = makers_of_all(graph);
  std::map<std::uint32_t, std::uint32_t> copies;
  std::vector<Node> first;
  std::vector<std::vector<Node>> behind(graph.nodes.size());
  for (std::uint32_t n = 0; n < graph.nodes.size(); ++n) {
    if (!is_product(graph.nodes[n])) {
      continue;
    }
    for (const std::uint32_t i : {0U, 1U}) {  // its factors
      const std::uint32_t id = graph.nodes[n].operands[i];
      if (graph.values[id].type.dtype != CALM_F32) {
        continue;
      }
      const auto [known, fresh] = copies.try_emplace(id, CALM_NONE);
      if (fresh) {
        calm_type type = graph.values[id].type;
        type.dtype = CALM_BF16;
        known->second = graph.add_temporary(type);
        const std::uint32_t maker = makers[id];
        if (maker != CALM_NONE && makes_copy(graph, graph.nodes[maker])) {
          graph.nodes[maker].outs.push_back(type);
          graph.nodes[maker].operands.push_back(known->second);
        } else {
          Node cast = make_node(graph, maker == CALM_NONE ? graph.nodes[n] : graph.nodes[maker],
                                CALM_OP_CAST, {id}, {known->second});
          (maker == CALM_NONE ? first : behind[maker]).push_back(std::move(cast));
        }
      }
      graph.nodes[n].operands[i] = known->second;
    }
  }
  std::vector<Node> all = std::move(first);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    all.push_back(std::move(graph.nodes[n]));
    std::move(behind[n].begin(), behind[n].end(), std::back_inserter(all));
  }
  graph.nodes = std::move(all);
  refresh_types(graph);
}

void make_views(Graph &graph) {
  const std::vector<bool> strided = take_strides(graph, 1);  // the one that goes
  std::vector<bool> is_view(graph.values.size());
  std::vector<bool> is_whole(graph.values.size());
  std::vector<Node> kept;
  for (Node &node : graph.nodes) {
    const bool splits = node.op == CALM_OP_SPLIT;
    const auto inputs = static_cast<std::ptrdiff_t>(node.ins.size());
    bool views = splits || node.op == CALM_OP_CONCAT;
    std::vector<std::uint32_t> parts;
    std::uint32_t whole = CALM_NONE;
    if (views) {
      parts = splits ? std::vector(node.operands.begin() + inputs, node.operands.end())
                     : std::vector(node.operands.begin(), node.operands.begin() + inputs);
      whole = splits ? node.operands.front() : node.operands.back();
      // A part has one place; a whole may have parts but not be one.
      views = whole != CALM_NONE && graph.values[whole].plain && !is_view[whole];
      for (const std::uint32_t part : parts) {
        views = views && part != CALM_NONE && strided[part] && !is_view[part] && !is_whole[part] &&
                part != whole && std::count(parts.begin(), parts.end(), part) == 1;
      }
    }
    if (!views) {
      kept.push_back(std::move(node));
      continue;
    }
    std::uint64_t at = 0;
    for (const std::uint32_t part : parts) {
      Value &value = graph.values[part];
      value.root = whole;
      value.at = at;
      value.columns = true;
      is_view[part] = true;
      at += static_cast<std::uint64_t>(value.type.shape[1]) * sizeof(float);
    }
    is_whole[whole] = true;
    ++graph.fused;
  }
  graph.nodes = std::move(kept);
}

}  // namespace calm::cuda
