// What an operator asks of its operands, as one line of text per operator (kernel_table.cpp).
//
//   "r[T,E] r[E,K] i[S+1] r[S,E,K]? | f -> r[T,E] r[S,E,K]"
//
// inputs, attribute kinds after a bar (i64: i, f64: f, bool: b), outputs after the arrow. An
// operand is
//   a dtype    r the node's real type, i i32, l i64, a any
//   a shape    [T,E] extents by name, equal names equal; S+1 one more; T/64 chunks of 64; _ any; []
//   a
//              scalar; * any shape, equal for all with a star; ~ the star's shape, its last extent
//              or a scalar; . any
//   ? when it may be absent as input (every output may); {8} for one to eight of its kind
#pragma once

#include <calm/tensor.h>

#include <string_view>

#include "kernel.hpp"

namespace calm::reference {

/// Checks a node's operands and attributes and returns its real type (0 when it has no real
/// operand). Throws INVALID_ARGUMENT saying which operand differs.
calm_dtype match_signature(const Node &node, std::string_view signature);

}  // namespace calm::reference
