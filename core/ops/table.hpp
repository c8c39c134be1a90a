#pragma once

#include <calm/operator.h>

#include <cstdint>
#include <span>
#include <string_view>

// The built-in operators. Kernels are elsewhere, in the backends.
namespace calm::ops {

struct OperatorEntry {
  std::string_view id;
  std::uint32_t revision;
  calm_operator table;
};

/// Every built-in operator, in the order of the table. [any]
std::span<const OperatorEntry> operators();

/// The operator of that id and revision, or null. Lives as long as the program. [any]
const calm_operator *find_operator(std::string_view id, std::uint32_t revision);

}  // namespace calm::ops
