#pragma once

#include <calm/program.h>

#include <calm/cpp/error.hpp>

#include <cstdint>
#include <string>

namespace calm::reference {

/// A failure that concerns one node of a program.
class NodeError : public Error {
 public:
  NodeError(calm_status status, const std::string &message, std::uint32_t node)
      : Error(status, message), node_(node) {}
  std::uint32_t node() const noexcept { return node_; }

 private:
  std::uint32_t node_;
};

/// Checks every index, range and size of the tables, so that nothing after it can read or write
/// outside a slot. What an operator asks of its operands is checked by match_signature.
/// Throws INVALID_ARGUMENT.
void validate(const calm_program *program);

/// dtype_bytes times the extents, checked. Throws INVALID_ARGUMENT.
std::uint64_t checked_bytes(const calm_type &type);

}  // namespace calm::reference
