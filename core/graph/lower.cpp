// Lowering: nodes a backend refuses become the simpler nodes their operator writes instead.
#include <algorithm>

#include <calm/cpp/error.hpp>

#include "core/graph/graph.hpp"

namespace calm::graph {

void Graph::lower(const std::vector<bool> &refused, const std::vector<std::string> &reasons) {
  std::vector<Node> old = std::move(nodes_);
  std::vector<Node> result;
  GraphBuilder builder(*this);
  for (std::size_t i = 0; i < old.size(); ++i) {
    Node &node = old[i];
    if (!refused[i]) {
      result.push_back(std::move(node));
      continue;
    }
    if (node.definition->lower == nullptr) {
      throw Error(CALM_UNSUPPORTED, "[" + node.op + "] " + node.origin + ": " + reasons[i] +
                                        ", and the operator has no lowering");
    }
    nodes_.clear();
    set_phase(node.phase);
    set_origin(node.origin);  // random streams and dumps stay those of the original node
    const std::vector<calm_value> attrs = attribute_values(node);
    const CallRecord record(*this, node.ins, node.outs, attrs);
    std::vector<calm_value_id> lowered(node.definition->max_out, CALM_NONE);
    call(node.definition->lower, &builder.table(), &record.call, lowered.data());
    for (std::size_t o = 0; o < node.outs.size(); ++o) {
      if (node.outs[o] == CALM_NONE) {
        continue;
      }
      // The lowered value takes over the identity (name, storage, readers) of the original output.
      bool produced = false;
      for (Node &fresh : nodes_) {
        for (std::uint32_t &in : fresh.ins) {
          in = in == lowered[o] ? node.outs[o] : in;
        }
        for (std::uint32_t &out : fresh.outs) {
          produced |= out == lowered[o];
          out = out == lowered[o] ? node.outs[o] : out;
        }
      }
      if (!produced) {
        throw Error(CALM_INTERNAL,
                    "[" + node.op + "] its lowering does not compute output " + std::to_string(o));
      }
    }
    std::move(nodes_.begin(), nodes_.end(), std::back_inserter(result));
  }
  set_origin({});
  nodes_ = std::move(result);
  eliminate_dead_code();
}

}  // namespace calm::graph
