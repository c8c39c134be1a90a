// What backends ask of a program before they plan its execution.
#pragma once

#include <calm/backend.h>

#include <calm/cpp/error.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "kernel.hpp"
#include "session.hpp"
#include "validate.hpp"

namespace calm::reference {

/// A node of a validated program, kernel not yet chosen.
Node copy_node(const calm_program &program, std::uint32_t index);

/// Where an operand lies: a slot (or the constants, or the step block) and an offset.
struct Place {
  enum class In { kNothing, kSlot, kConstants, kStep };
  In in = In::kNothing;
  std::uint32_t slot = 0;
  std::uint64_t offset = 0;
};
Place place_of(const calm_tensor &tensor);
/// Appends the places of a node's inputs and outputs.
void add_places(const calm_program &program, std::uint32_t index, std::vector<Place> &places);

/// A node's line of a program's dump: operator, types, scratch memory, origin.
std::string line_of(const Node &node);

/// `e` with the node it is about in front.
NodeError about(const Node &node, const Error &e);

/// Types in words, "-" for an absent one.
std::string list_of(const std::vector<calm_type> &types);

/// One verdict a node: exactly the nodes that `resolve` refuses as unsupported are not supported.
void judge_nodes(const calm_program *program, calm_verdict *out_verdicts);

/// Throws INVALID_ARGUMENT unless there is a large enough buffer of the session for every slot.
template <class Buffer = calm_buffer, class Session>
void check_buffers(const Session &session, const std::vector<std::uint64_t> &slot_bytes,
                   const std::vector<std::string> &slot_names, calm_buffer *const *buffers,
                   std::uint32_t count) {
  if (count != slot_bytes.size()) {
    throw Error(CALM_INVALID_ARGUMENT, "expected " + std::to_string(slot_bytes.size()) +
                                           " buffers, found " + std::to_string(count));
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto *const buffer = reinterpret_cast<const Buffer *>(buffers[i]);
    const std::uint64_t needed = slot_bytes[i];
    const bool right = buffer == nullptr
                           ? needed == 0
                           : buffer->session == &session && buffer->memory.bytes() >= needed;
    if (!right) {
      throw Error(CALM_INVALID_ARGUMENT, "slot " + slot_names[i] +
                                             ": expected a buffer of this session of " +
                                             std::to_string(needed) + " bytes or more");
    }
  }
}

}  // namespace calm::reference
