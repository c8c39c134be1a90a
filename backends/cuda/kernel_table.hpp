#pragma once

#include <string_view>

#include "cuda/kernel.hpp"

namespace calm::cuda {

/// Refuses what the kernel cannot do (throws UNSUPPORTED) and returns the bytes of device memory
/// one launch needs.
using PlanKernel = std::size_t (*)(const Node &node);

struct KernelEntry {
  std::string_view op;
  LaunchKernel launch;
  PlanKernel plan;  // null: no scratch
  bool any_dtype;   // the kernel looks at dtypes itself
  JoinKernel join;
};

/// Null when this backend has no kernel of that name. All are of revision 1.
const KernelEntry *find_kernel(std::string_view op, std::uint32_t revision);

/// Finishes a node whose name, types and attributes are filled in: checks them as the reference
/// does and chooses the kernel. Throws INVALID_ARGUMENT for a malformed node, UNSUPPORTED
/// otherwise.
void resolve(Node &node);

/// The same for any node of a graph, among them the backend's own, without checks of the types that
/// the catalogue states. Throws UNSUPPORTED.
void choose_kernel(Node &node);

}  // namespace calm::cuda
