// Which nodes run together: segments of nodes over the same rows, and the rest one by one.
#pragma once

#include <cstdint>
#include <vector>

#include "onednn/nodes.hpp"

namespace calm::onednn {

/// Nodes in the order they run, those of a segment together.
struct Group {
  bool segment = false;
  std::vector<std::uint32_t> nodes;
};

struct Schedule {
  std::vector<Group> prologue;  ///< what reads weights only
  std::vector<Group> groups;
};

/// Nodes over the tokens of one batch join one segment; what does not fit in runs before it, when
/// it does not depend on it, or after it. Every value and every piece of storage is read and
/// written in the program's order.
Schedule schedule(const ProgramInfo &info);

}  // namespace calm::onednn
