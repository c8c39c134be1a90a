#include "program.hpp"

#include <calm/random.h>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <string_view>

#include "kernel_table.hpp"
#include "validate.hpp"

namespace calm::reference {
namespace {

/// The types of `n` operands of a node from `first` on.
std::vector<calm_type> types_of(const calm_program &program, std::uint32_t first, std::uint32_t n) {
  std::vector<calm_type> types(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    const auto id = record<std::uint32_t>(program.operands, first + i);
    if (id != CALM_NONE) {
      types[i] = record<calm_tensor>(program.tensors, id).type;
    }
  }
  return types;
}

Place place_of_operand(const calm_program &program, std::uint32_t operand) {
  const auto id = record<std::uint32_t>(program.operands, operand);
  return id == CALM_NONE ? Place{} : place_of(record<calm_tensor>(program.tensors, id));
}

}  // namespace

Place place_of(const calm_tensor &tensor) {
  if (tensor.role == CALM_ROLE_CONST) {
    return {Place::In::kConstants, 0, tensor.offset};
  }
  if (tensor.role == CALM_ROLE_STEP) {
    return {Place::In::kStep, 0, tensor.offset};
  }
  return {Place::In::kSlot, tensor.slot, tensor.offset};
}

void add_places(const calm_program &program, std::uint32_t index, std::vector<Place> &places) {
  const auto &node = record<calm_node>(program.nodes, index);
  for (std::uint32_t k = 0; k < node.n_in; ++k) {
    places.push_back(place_of_operand(program, node.first_in + k));
  }
  for (std::uint32_t k = 0; k < node.n_out; ++k) {
    places.push_back(place_of_operand(program, node.first_out + k));
  }
}

std::string line_of(const Node &node) {
  std::string text = std::to_string(node.index) + " " + node.op + "/" +
                     std::to_string(node.revision) + "  " + list_of(node.ins) + " -> " +
                     list_of(node.outs);
  if (node.scratch != 0) {
    text += "  scratch " + std::to_string(node.scratch);
  }
  return text + "  " + node.origin + "\n";
}

NodeError about(const Node &node, const Error &e) {
  return {e.status(), "node " + std::to_string(node.index) + " (" + node.op + "): " + e.what(),
          node.index};
}

Node copy_node(const calm_program &program, std::uint32_t index) {
  const auto &source = record<calm_node>(program.nodes, index);
  Node node;
  node.index = index;
  node.op = copy(source.op);
  node.revision = source.revision;
  node.origin = copy(source.origin);
  node.stream = calm_stream_id(source.origin);
  node.ins = types_of(program, source.first_in, source.n_in);
  node.outs = types_of(program, source.first_out, source.n_out);
  for (std::uint32_t i = 0; i < source.n_attr; ++i) {
    calm_value attr = record<calm_value>(program.attrs, source.first_attr + i);
    attr.name = {};
    attr.str = {};
    node.attrs.push_back(attr);
  }
  return node;
}

std::string list_of(const std::vector<calm_type> &types) {
  std::string text;
  for (const calm_type &type : types) {
    text += text.empty() ? "" : " ";
    text += type.dtype == 0 ? std::string("-") : describe(type);
  }
  return text;
}

void judge_nodes(const calm_program *program, calm_verdict *out_verdicts) {
  validate(program);
  for (std::uint32_t i = 0; i < program->nodes.count; ++i) {
    Node node = copy_node(*program, i);
    calm_verdict &verdict = out_verdicts[i];
    verdict = {};
    verdict.supported = 1;
    try {
      resolve(node);
    } catch (const Error &e) {
      if (e.status() != CALM_UNSUPPORTED) {
        throw about(node, e);
      }
      verdict.supported = 0;
      std::string_view(e.what()).copy(verdict.reason, sizeof verdict.reason - 1);
    }
  }
}

}  // namespace calm::reference
