#pragma once

#include "onednn/kernel.hpp"

namespace calm::onednn {

/// Null when an operator, or this use of it, has no kernel of its own here.
const Kernel *find_kernel(const Node &node);

}  // namespace calm::onednn
