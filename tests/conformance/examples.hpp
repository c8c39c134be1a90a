#pragma once

#include <vector>

#include "tests/conformance/case.hpp"

namespace calm::conformance {

/// One use of every built-in operator, large enough to be shared among threads.
std::vector<Case> examples();

/// For the test file of an operator that is not in examples.cpp, at namespace scope:
/// `const bool kExample = add_example({"relu", {draw(1, {8, 3})}});`
bool add_example(Case example);

}  // namespace calm::conformance
