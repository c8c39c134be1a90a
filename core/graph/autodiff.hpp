#pragma once

#include <vector>

#include "core/graph/graph.hpp"

namespace calm::graph {

/// Appends the backward pass (reverse mode) of everything the graph holds so far.
///
/// `seed` is dL/d`loss`, a scalar. Returns one gradient per parameter of the layout, empty for
/// frozen parameters and those the loss does not depend on. Both uses of a shared tensor add up.
/// CALM_UNSUPPORTED when an operator on the way has no gradient.
std::vector<Value> differentiate(Graph &graph, Value loss, Value seed);

}  // namespace calm::graph
