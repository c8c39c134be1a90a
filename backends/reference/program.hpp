// What backends on the host's processor ask of a program before they plan its execution.
#pragma once

#include <calm/backend.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernel.hpp"
#include "session.hpp"

namespace calm::reference {

/// A node of a validated program, kernel not yet chosen.
Node copy_node(const calm_program &program, std::uint32_t index);

/// Types in words, "-" for an absent one.
std::string list_of(const std::vector<calm_type> &types);

/// One verdict a node: exactly the nodes that `resolve` refuses as unsupported are not supported.
void judge_nodes(const calm_program *program, calm_verdict *out_verdicts);

/// Throws INVALID_ARGUMENT unless there is a large enough buffer of the session for every slot.
void check_buffers(const calm_session &session, const std::vector<std::uint64_t> &slot_bytes,
                   const std::vector<std::string> &slot_names, calm_buffer *const *buffers,
                   std::uint32_t count);

}  // namespace calm::reference
