// Memory of a kernel, laid out by a class Work(shape, carry, scratch), where Shape(node) is what it
// needs to know of a node: measured at planning and taken in a call by the same lines.
#pragma once

#include "onednn/kernel.hpp"

namespace calm::onednn {

template <class Shape, class Work>
std::size_t carry_bytes(const Node &node) {
  reference::Scratch carry;
  reference::Scratch scratch;
  const Work measure(Shape(node), carry, scratch);
  return carry.used();
}
template <class Shape, class Work>
std::size_t scratch_bytes(const Node &node) {
  reference::Scratch carry;
  reference::Scratch scratch;
  const Work measure(Shape(node), carry, scratch);
  return scratch.used();
}
template <class Work, class Shape>
Work work_of(const Shape &shape, const Call &call) {
  reference::Scratch carry(call.carry);
  reference::Scratch scratch(call.scratch);
  return Work(shape, carry, scratch);
}

}  // namespace calm::onednn
