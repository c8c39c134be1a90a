// The nodes of a program with what planning needs to know of each: its kernel, the axes of its
// operands, and which storage it reads and writes.
#pragma once

#include <calm/program.h>

#include <cstdint>
#include <vector>

#include "onednn/plan.hpp"
#include "onednn/products.hpp"

namespace calm::onednn {

struct NodeInfo {
  Node node;                              ///< with the reference's kernel resolved
  const Kernel *kernel = nullptr;         ///< null: the reference's loops
  std::vector<std::uint32_t> operands;    ///< tensors: inputs, then outputs; CALM_NONE when absent
  std::vector<Axis> axes;                 ///< of the operands, with a kernel
  std::size_t rows = 0;                   ///< with a kernel
  bool tokens = false;                    ///< all operands by rows are on the tokens axis
  std::uint32_t offsets = CALM_NONE;      ///< tensor
  std::uint32_t packed = CALM_NONE;       ///< operand number of a matrix to pack
  WeightType weights = WeightType::kF32;  ///< how that matrix is kept
  bool onednn = false;                    ///< a product that oneDNN does (products.hpp)
  bool prologue = false;  ///< reads weights and constants only: runs when the weights changed

  std::size_t inputs() const { return node.ins.size(); }
  const calm_type &type(std::size_t operand) const {
    return operand < inputs() ? node.ins[operand] : node.outs[operand - inputs()];
  }
  bool is_sum(std::size_t operand) const {
    return kernel != nullptr && operand >= inputs() &&
           ((kernel->sums >> (operand - inputs())) & 1U) != 0;
  }
};

/// A tensor: who makes and uses it, and the storage it is in.
struct TensorInfo {
  std::uint32_t storage = 0;  ///< equal for tensors that share memory by view_of or updates
  std::uint32_t maker = CALM_NONE;
  std::vector<std::uint32_t> users;  ///< nodes, in order, one entry a use
  bool plain_temporary = false;      ///< in the workspace, updates nothing and nothing updates it
};

struct ProgramInfo {
  const calm_program *program;
  std::vector<NodeInfo> nodes;
  std::vector<TensorInfo> tensors;
  std::uint32_t fused = 0;  ///< nodes that went into others

  const calm_tensor &tensor(std::uint32_t id) const;
};

/// Works out axes and rows of a node from its kernel's signature.
void set_axes(NodeInfo &info);

/// Checks the program and chooses kernels. Throws reference::NodeError or Error.
/// `products`: null when our own kernels do all products.
ProgramInfo inspect(const calm_program &program, Level level, WeightType weights,
                    Products *products);

/// Elements between records of a dense tensor with that axis.
std::size_t record_elements(const calm_type &type, Axis axis);

}  // namespace calm::onednn
