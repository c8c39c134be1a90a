#include "onednn/nodes.hpp"

#include <calm/ops/matmul.h>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>

#include "onednn/fuse.hpp"
#include "onednn/kernel_table.hpp"
#include "reference/kernel_table.hpp"
#include "reference/program.hpp"
#include "reference/validate.hpp"

namespace calm::onednn {
namespace {

std::vector<std::uint32_t> operand_ids(const calm_program &program, const calm_node &node) {
  std::vector<std::uint32_t> ids;
  for (std::uint32_t k = 0; k < node.n_in; ++k) {
    ids.push_back(record<std::uint32_t>(program.operands, node.first_in + k));
  }
  for (std::uint32_t k = 0; k < node.n_out; ++k) {
    ids.push_back(record<std::uint32_t>(program.operands, node.first_out + k));
  }
  return ids;
}

bool same_extents(const calm_type &a, const calm_type &b) {
  return a.rank == b.rank && std::equal(a.shape, a.shape + a.rank, b.shape);
}

/// The words of a signature's side, one an operand: "r*" of "{8}" once for each there is.
std::vector<std::string_view> words(std::string_view side, std::size_t operands) {
  std::vector<std::string_view> out;
  while (!side.empty()) {
    const std::size_t end = std::min(side.find(' '), side.size());
    const std::string_view word = side.substr(0, end);
    side.remove_prefix(std::min(end + 1, side.size()));
    if (word.empty()) {
      continue;
    }
    out.push_back(word);
    while (word.ends_with("{8}") && out.size() < operands) {
      out.push_back(word);
    }
  }
  return out;
}

/// The axis of an operand by its word in the signature; `star` is the type of the first "*".
Axis axis_of(std::string_view word, const calm_type &type, const calm_type &star) {
  const std::string_view shape = word.substr(1);
  if (shape.starts_with("[T/64")) {
    return Axis::kChunks;
  }
  if (shape.starts_with("[T")) {
    return Axis::kRows;
  }
  if (shape.starts_with("[S,") || shape.starts_with("[S]")) {
    return Axis::kSequences;
  }
  if (shape.starts_with('*')) {
    return type.rank > 0 ? Axis::kRows : Axis::kWhole;
  }
  return shape.starts_with('~') && type.rank > 0 && same_extents(type, star) ? Axis::kRows
                                                                             : Axis::kWhole;
}

bool is_f32(const Node &node) {
  bool real = false;
  for (const std::vector<calm_type> *types : {&node.ins, &node.outs}) {
    for (const calm_type &type : *types) {
      if (type.dtype == CALM_F64) {
        return false;
      }
      real = real || type.dtype == CALM_F32;
    }
  }
  return real;
}

/// `weights` for a matrix of a program that does not train.
WeightType weight_type(const calm_program &program, const NodeInfo &info, WeightType weights) {
  bool trains = false;
  for (std::uint32_t i = 0; i < program.nodes.count; ++i) {
    trains = trains || record<calm_node>(program.nodes, i).phase != CALM_PHASE_FORWARD;
  }
  const auto &b = record<calm_tensor>(program.tensors, info.operands[CALM_MATMUL_B]);
  return !trains && b.role == CALM_ROLE_PARAM ? weights : WeightType::kF32;
}

/// Without AVX2 the kernels here have one lane; the reference's loops have four.
bool has_lanes([[maybe_unused]] Level level) {
#if defined(__x86_64__)
  return level != Level::kBase;
#else
  return true;
#endif
}

void choose_kernel(const calm_program &program, NodeInfo &info, Level level, WeightType weights,
                   Products *products) {
  if (!is_f32(info.node) || !has_lanes(level)) {
    return;
  }
  if (info.node.op == CALM_OP_MATMUL) {
    info.weights = weight_type(program, info, weights);
    info.kernel = matmul_kernel(info.node, info.weights);
    info.onednn =
        products != nullptr && info.kernel != nullptr && products->takes(info.node, info.weights);
    if (info.onednn) {
      info.kernel = product_kernel(info.node);
    }
  } else {
    info.kernel = find_kernel(info.node);
  }
  if (info.kernel != nullptr) {
    set_axes(info);
    if (info.node.op == CALM_OP_MATMUL && info.axes[CALM_MATMUL_B] == Axis::kWhole) {
      info.packed = CALM_MATMUL_B;
    }
  }
}

std::vector<TensorInfo> link(const calm_program &program, const std::vector<NodeInfo> &nodes) {
  std::vector<TensorInfo> tensors(program.tensors.count);
  std::vector<std::uint32_t> parent(tensors.size());
  std::iota(parent.begin(), parent.end(), 0U);
  const auto root = [&parent](std::uint32_t i) {
    while (parent[i] != i) {
      i = parent[i];
    }
    return i;
  };
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    const auto &tensor = record<calm_tensor>(program.tensors, i);
    for (const std::uint32_t target : {tensor.view_of, tensor.updates}) {
      if (target != CALM_NONE) {
        parent[root(i)] = root(target);
      }
    }
  }
  std::vector<std::uint32_t> sharers(tensors.size(), 0);
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    tensors[i].storage = root(i);
    ++sharers[root(i)];
  }
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    tensors[i].plain_temporary =
        record<calm_tensor>(program.tensors, i).role == CALM_ROLE_TEMP && sharers[root(i)] == 1;
  }
  for (std::uint32_t n = 0; n < nodes.size(); ++n) {
    for (std::size_t k = 0; k < nodes[n].operands.size(); ++k) {
      const std::uint32_t id = nodes[n].operands[k];
      if (id == CALM_NONE) {
        continue;
      }
      if (k < nodes[n].inputs()) {
        tensors[id].users.push_back(n);
      } else {
        tensors[id].maker = n;
      }
    }
  }
  return tensors;
}

/// Of its inputs one at least is a weight, the others are weights, constants or such nodes'
/// results.
bool reads_weights_only(const ProgramInfo &info, const NodeInfo &node) {
  bool weights = false;
  for (std::size_t k = 0; k < node.operands.size(); ++k) {
    const std::uint32_t id = node.operands[k];
    if (id == CALM_NONE) {
      continue;
    }
    const calm_role role = info.tensor(id).role;
    const std::uint32_t maker = info.tensors[id].maker;
    if (k >= node.inputs()) {
      if (!info.tensors[id].plain_temporary) {
        return false;
      }
    } else if (role == CALM_ROLE_PARAM && maker == CALM_NONE) {
      weights = true;
    } else if (maker != CALM_NONE && info.nodes[maker].prologue) {
      weights = true;
    } else if (role != CALM_ROLE_CONST) {
      return false;
    }
  }
  return weights;
}

}  // namespace

void set_axes(NodeInfo &info) {
  std::string_view outputs = info.kernel->signature;
  const std::size_t arrow = outputs.find("->");
  std::string_view inputs = outputs.substr(0, arrow);
  inputs = inputs.substr(0, inputs.find('|'));
  outputs = outputs.substr(arrow + 2);
  std::vector<std::string_view> all = words(inputs, info.inputs());
  all.resize(info.inputs(), "r.");
  for (const std::string_view word : words(outputs, info.node.outs.size())) {
    if (all.size() < info.operands.size()) {
      all.push_back(word);
    }
  }
  all.resize(info.operands.size(), "r.");
  calm_type star{};
  for (std::size_t k = all.size(); k-- > 0;) {
    if (all[k].substr(1).starts_with('*') && info.type(k).dtype != 0) {
      star = info.type(k);
    }
  }
  info.tokens = true;
  info.rows = 1;
  info.axes.clear();
  for (std::size_t k = 0; k < all.size(); ++k) {
    const calm_type &type = info.type(k);
    const Axis axis = axis_of(all[k], type, star);
    info.axes.push_back(axis);
    if (type.dtype == 0) {
      continue;
    }
    if (axis == Axis::kRows) {
      info.rows = static_cast<std::size_t>(type.shape[0]);
      info.tokens = info.tokens && type.axis0 == CALM_AXIS_TOKENS;
    }
    if (all[k].find("[S+1]") != std::string_view::npos) {
      info.offsets = info.operands[k];
    }
  }
  if (star.rank == 0 && info.kernel->signature.find('*') != std::string_view::npos) {
    info.tokens = false;  // scalars
  }
}

const calm_tensor &ProgramInfo::tensor(std::uint32_t id) const {
  return record<calm_tensor>(program->tensors, id);
}

ProgramInfo inspect(const calm_program &program, Level level, WeightType weights,
                    Products *products) {
  reference::validate(&program);
  ProgramInfo info{&program, {}, {}, 0};
  for (std::uint32_t i = 0; i < program.nodes.count; ++i) {
    NodeInfo node;
    node.operands = operand_ids(program, record<calm_node>(program.nodes, i));
    node.node = reference::copy_node(program, i);
    try {
      reference::resolve(node.node);
    } catch (const Error &e) {
      throw reference::about(node.node, e);
    }
    choose_kernel(program, node, level, weights, products);
    info.nodes.push_back(std::move(node));
  }
  info.fused = fuse_products(program, info.nodes);
  info.tensors = link(program, info.nodes);
  for (NodeInfo &node : info.nodes) {
    node.prologue = reads_weights_only(info, node);
  }
  return info;
}

std::size_t record_elements(const calm_type &type, Axis axis) {
  const std::size_t all = count(type);
  return axis == Axis::kWhole || type.rank == 0 || type.shape[0] == 0
             ? all
             : all / static_cast<std::size_t>(type.shape[0]);
}

}  // namespace calm::onednn
