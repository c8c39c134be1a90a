#pragma once

#include <calm/tensor.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernel.hpp"

namespace calm::reference {

/// Checks what a signature cannot say (throws INVALID_ARGUMENT) and returns the bytes of scratch
/// memory one run needs.
using PlanKernel = std::size_t (*)(const Node &node);

struct KernelEntry {
  std::string_view op;
  std::uint32_t revision;
  std::string_view signature;  // signature.hpp
  RunKernel f32, f64;
  PlanKernel plan_f32, plan_f64;  // null: nothing to check, no scratch
};

/// Null when this backend has no kernel of that name and revision.
const KernelEntry *find_kernel(std::string_view op, std::uint32_t revision);

/// Finishes a node whose name, types and attributes are filled in: checks them and chooses the
/// kernel. Throws INVALID_ARGUMENT for a malformed node, UNSUPPORTED with the reason otherwise.
void resolve(Node &node);

}  // namespace calm::reference
