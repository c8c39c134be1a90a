#include <algorithm>
#include <map>
#include <vector>

#include "core/graph/graph.hpp"

namespace calm::graph {

namespace {

// A place where one value alone is still needed by later forward nodes.
struct Cut {
  std::size_t begin;    // node after it
  std::uint32_t value;  // what goes on
  std::uint64_t bytes;
};

// Those where that value is the smallest of its kind.
std::vector<Cut> find_cuts(const std::vector<Node> &nodes, std::size_t forward,
                           const std::vector<Tensor> &tensors) {
  std::vector<std::size_t> last_use(tensors.size(), 0);
  for (std::size_t n = 0; n < forward; ++n) {
    for (const std::uint32_t in : nodes[n].ins) {
      if (in != CALM_NONE) {
        last_use[in] = n;
      }
    }
  }
  std::vector<Cut> cuts;
  std::vector<std::uint32_t> live;
  for (std::size_t n = 0; n + 1 < forward; ++n) {
    for (const std::uint32_t out : nodes[n].outs) {
      if (out != CALM_NONE && tensors[out].role == CALM_ROLE_TEMP) {
        live.push_back(out);
      }
    }
    std::erase_if(live, [&](std::uint32_t id) { return last_use[id] <= n; });
    if (live.size() == 1 && tensors[live[0]].type.axis0 == CALM_AXIS_TOKENS) {
      cuts.push_back({n + 1, live[0], bytes_of(tensors[live[0]].type)});
    }
  }
  std::uint64_t smallest = ~std::uint64_t{0};
  for (const Cut &cut : cuts) {
    smallest = std::min(smallest, cut.bytes);
  }
  std::erase_if(cuts, [smallest](const Cut &cut) { return cut.bytes > smallest; });
  return cuts;
}

}  // namespace

void Graph::recompute_activations() {
  const auto is_forward = [](const Node &node) { return node.phase == CALM_PHASE_FORWARD; };
  const auto forward = static_cast<std::size_t>(
      std::find_if_not(nodes_.begin(), nodes_.end(), is_forward) - nodes_.begin());
  const std::vector<Cut> cuts = find_cuts(nodes_, forward, tensors_);
  // The node that a value which is not kept comes from; of the others `forward`. What stands before
  // the first cut is its value; what follows the last is used at once, as the backward pass begins
  // there.
  std::vector<std::size_t> source(tensors_.size(), forward);
  for (std::size_t s = 0; s + 1 < cuts.size(); ++s) {
    for (std::size_t n = cuts[s].begin; n < cuts[s + 1].begin; ++n) {
      const bool pure = (nodes_[n].definition->traits & CALM_OP_PURE) != 0;
      for (const std::uint32_t out : nodes_[n].outs) {
        if (out != CALM_NONE && pure && tensors_[out].role == CALM_ROLE_TEMP) {
          source[out] = n;
        }
      }
    }
  }
  for (const Cut &cut : cuts) {
    source[cut.value] = forward;
  }

  std::vector<Node> result(nodes_.begin(), nodes_.begin() + static_cast<std::ptrdiff_t>(forward));
  std::map<std::uint32_t, std::uint32_t> again;  // value of the forward pass -> its second copy
  // Emits the node of `value`, after those it needs, once. Chains inside a segment are short.
  const auto repeat = [&](auto &&self, std::uint32_t value) -> std::uint32_t {
    if (value == CALM_NONE || value >= source.size() || source[value] == forward) {
      return value;
    }
    if (const auto found = again.find(value); found != again.end()) {
      return found->second;
    }
    Node copy = nodes_[source[value]];
    copy.phase = CALM_PHASE_BACKWARD;
    for (std::uint32_t &in : copy.ins) {
      in = self(self, in);
    }
    for (std::uint32_t &out : copy.outs) {
      if (out != CALM_NONE) {
        Tensor tensor = tensors_[out];
        tensor.name += "'";
        const std::uint32_t original = out;
        out = add(std::move(tensor));
        again[original] = out;
      }
    }
    result.push_back(std::move(copy));
    return again.at(value);
  };
  for (std::size_t n = forward; n < nodes_.size(); ++n) {
    Node node = std::move(nodes_[n]);
    for (std::uint32_t &in : node.ins) {
      in = repeat(repeat, in);
    }
    result.push_back(std::move(node));
  }
  nodes_ = std::move(result);
}

}  // namespace calm::graph
