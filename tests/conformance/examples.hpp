#pragma once

#include <vector>

#include "tests/conformance/case.hpp"

namespace calm::conformance {

/// One use of every built-in operator, large enough to be shared among threads.
std::vector<Case> examples();

}  // namespace calm::conformance
