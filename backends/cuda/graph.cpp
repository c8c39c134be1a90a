#include "cuda/graph.hpp"

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <algorithm>
#include <utility>

#include "reference/validate.hpp"

namespace calm::cuda {
namespace {

/// The tensor in whose memory `id` lies in the end.
std::uint32_t root_of(const calm_program &program, std::uint32_t id) {
  for (;;) {
    const auto &tensor = record<calm_tensor>(program.tensors, id);
    if (tensor.view_of != CALM_NONE) {
      id = tensor.view_of;
    } else if (tensor.updates != CALM_NONE) {
      id = tensor.updates;
    } else {
      return id;
    }
  }
}

}  // namespace

std::uint32_t Graph::add_temporary(const calm_type &type) {
  Value value;
  value.type = type;
  value.in_workspace = true;
  value.plain = true;
  return add(value);
}

std::int64_t Graph::stride(std::uint32_t id) const {
  const Value &value = values[values[id].columns ? values[id].root : id];
  const calm_type &type = value.type;
  if (value.stride != 0 || type.rank == 0) {
    return value.stride;
  }
  return static_cast<std::int64_t>(count(type)) / std::max<std::int64_t>(1, type.shape[0]);
}

std::vector<std::vector<std::uint32_t>> Graph::users() const {
  std::vector<std::vector<std::uint32_t>> users(values.size());
  for (std::uint32_t n = 0; n < nodes.size(); ++n) {
    for (std::size_t i = 0; i < nodes[n].ins.size(); ++i) {
      if (nodes[n].operands[i] != CALM_NONE) {
        users[nodes[n].operands[i]].push_back(n);
      }
    }
  }
  return users;
}

std::vector<std::uint32_t> Graph::makers() const {
  std::vector<std::uint32_t> makers(values.size(), CALM_NONE);
  for (std::uint32_t n = 0; n < nodes.size(); ++n) {
    for (std::size_t i = nodes[n].ins.size(); i < nodes[n].operands.size(); ++i) {
      if (nodes[n].operands[i] != CALM_NONE) {
        makers[nodes[n].operands[i]] = n;
      }
    }
  }
  return makers;
}

void refresh_types(Graph &graph) {
  for (Node &node : graph.nodes) {
    for (std::size_t i = 0; i < node.operands.size(); ++i) {
      if (node.operands[i] != CALM_NONE) {
        (i < node.ins.size() ? node.ins[i] : node.outs[i - node.ins.size()]) =
            graph.values[node.operands[i]].type;
      }
    }
  }
}

Node make_node(const Graph &graph, const Node &from, const std::string &op,
               std::vector<std::uint32_t> ins, std::vector<std::uint32_t> outs) {
  Node node;
  node.index = from.index;
  node.op = op;
  node.own = true;
  node.revision = 1;
  node.origin = from.origin;
  node.stream = from.stream;
  const auto type_of = [&](std::uint32_t id) {
    return id == CALM_NONE ? calm_type{} : graph.values[id].type;
  };
  for (const std::uint32_t id : ins) {
    node.ins.push_back(type_of(id));
  }
  for (const std::uint32_t id : outs) {
    node.outs.push_back(type_of(id));
  }
  node.operands = std::move(ins);
  node.operands.insert(node.operands.end(), outs.begin(), outs.end());
  return node;
}

Graph inspect(const calm_program &program) {
  reference::validate(&program);
  Graph graph;
  for (std::uint32_t i = 0; i < program.slots.count; ++i) {
    if (record<calm_slot>(program.slots, i).workspace != 0) {
      graph.workspace = i;
    }
  }
  if (graph.workspace == CALM_NONE) {
    throw Error(CALM_INVALID_ARGUMENT, "expected a slot that is a workspace, found none");
  }
  for (std::uint32_t i = 0; i < program.tensors.count; ++i) {
    const auto &tensor = record<calm_tensor>(program.tensors, i);
    Value value;
    value.type = tensor.type;
    value.place = reference::place_of(tensor);
    value.root = root_of(program, i);
    value.at = tensor.offset - record<calm_tensor>(program.tensors, value.root).offset;
    value.in_workspace = tensor.role == CALM_ROLE_TEMP && value.place.slot == graph.workspace;
    value.plain = value.in_workspace && value.root == i;
    graph.values.push_back(value);
  }
  for (std::uint32_t i = 0; i < program.tensors.count; ++i) {
    if (graph.values[i].root != i) {
      graph.values[graph.values[i].root].plain = false;
    }
  }
  for (std::uint32_t i = 0; i < program.nodes.count; ++i) {
    const auto &source = record<calm_node>(program.nodes, i);
    Node node;
    static_cast<reference::Node &>(node) = reference::copy_node(program, i);
    for (std::uint32_t k = 0; k < source.n_in; ++k) {
      node.operands.push_back(record<std::uint32_t>(program.operands, source.first_in + k));
    }
    for (std::uint32_t k = 0; k < source.n_out; ++k) {
      node.operands.push_back(record<std::uint32_t>(program.operands, source.first_out + k));
    }
    graph.nodes.push_back(std::move(node));
  }
  return graph;
}

}  // namespace calm::cuda
