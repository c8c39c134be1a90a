// A compiled program: its nodes with a kernel each, and where every operand lies. A binding holds
// the addresses; a run only walks the nodes.
#pragma once

#include <calm/backend.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernel.hpp"
#include "program.hpp"
#include "session.hpp"

struct calm_executable {
  std::vector<calm::reference::Node> nodes;
  std::vector<calm::reference::Place> places;  // of all operands, node after node
  std::vector<std::uint64_t> slot_bytes;
  std::vector<std::string> slot_names;
  calm::reference::HostMemory constants;
  std::uint64_t step_bytes = 0;
  std::uint64_t scratch_bytes = 0;  // the largest node's
  std::string dump;
};

struct calm_binding {
  const calm_executable *executable;
  calm::reference::HostMemory step;  // this run's step values
  std::vector<void *> operands;      // null: absent
};

namespace calm::reference {

/// Copies the program, chooses kernels and grows the session's scratch memory. Throws NodeError or
/// Error: INVALID_ARGUMENT for a malformed program, UNSUPPORTED for a node without a kernel.
calm_executable *compile(calm_session &session, const calm_program *program, calm_table options);

calm_binding *bind(calm_session &session, const calm_executable &executable,
                   calm_buffer *const *buffers, std::uint32_t count);

/// Runs to the end and returns the fence.
std::uint64_t run(calm_session &session, calm_binding &binding, const void *step_values,
                  std::uint64_t bytes);

}  // namespace calm::reference
