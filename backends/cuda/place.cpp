// Where the values of the workspace lie, and what runs on the second stream.
#include <calm/ops/elementwise.h>
#include <calm/ops/matmul.h>
#include <calm/ops/optimizer.h>

#include <calm/cpp/value.hpp>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "cuda/graph.hpp"

namespace calm::cuda {
namespace {

constexpr std::uint64_t kAlign = 256;
constexpr std::size_t kSmall = std::size_t{1} << 15;  // elements of a product
constexpr std::uint32_t kBetweenJoins = 12;           // nodes of the first stream

std::uint64_t aligned(std::uint64_t bytes) { return div_up(bytes, kAlign) * kAlign; }

std::uint64_t bytes_of(const Value &value) {
  const std::uint64_t elements = value.stride == 0
                                     ? count(value.type)
                                     : static_cast<std::uint64_t>(value.stride) *
                                           static_cast<std::uint64_t>(value.type.shape[0]);
  return elements * dtype_bytes(value.type.dtype);
}

/// `accumulate`, and additions of what it then reads.
void mark_late(Graph &graph, const std::vector<std::vector<std::uint32_t>> &users) {
  for (auto n = static_cast<std::uint32_t>(graph.nodes.size()); n-- > 0;) {
    Node &node = graph.nodes[n];
    const std::uint32_t out = node.operands.back();
    node.late = node.op == CALM_OP_ACCUMULATE ||
                (node.op == CALM_OP_ADD && out != CALM_NONE && graph.values[out].plain &&
                 !users[out].empty() &&
                 std::all_of(users[out].begin(), users[out].end(),
                             [&](std::uint32_t user) { return graph.nodes[user].late; }));
  }
}

/// Products whose results only late nodes read: nothing on the way to the next layer waits for
/// them.
void choose_side(Graph &graph) {
  const auto users = graph.users();
  mark_late(graph, users);
  for (Node &node : graph.nodes) {
    if (node.op != CALM_OP_MATMUL || node.finish != Finish::kNone) {
      continue;
    }
    const std::uint32_t out = node.operands.back();
    node.side = out != CALM_NONE && graph.values[out].plain && !users[out].empty() &&
                std::all_of(users[out].begin(), users[out].end(),
                            [&](std::uint32_t n) { return graph.nodes[n].late; });
  }
}

/// Each small product of the second stream right behind what makes the last of its operands.
/// Released together with a kernel of the first that stands behind, it holds up that one's blocks
/// until its own have ended: the mixer's gradient took 14 instead of 8 us. A larger one fills the
/// card, and is better off beside the mixer than beside the products in front of it.
void start_side_early(Graph &graph) {
  std::vector<std::uint32_t> made(graph.values.size());  // by root: behind which node
  std::vector<std::vector<Node>> behind(graph.nodes.size() + 1);
  for (std::uint32_t n = 0; n < graph.nodes.size(); ++n) {
    Node &node = graph.nodes[n];
    std::uint32_t at = n;
    if (node.side && count(node.outs[0]) <= kSmall) {
      at = 0;
      for (std::size_t i = 0; i < node.ins.size(); ++i) {
        at = std::max(
            at, node.operands[i] == CALM_NONE ? 0 : made[graph.values[node.operands[i]].root]);
      }
      while (at > 0 && at < n && joined(graph.nodes[at - 1], graph.nodes[at])) {
        ++at;  // not into a launch
      }
    }
    for (std::size_t i = node.ins.size(); i < node.operands.size(); ++i) {
      if (node.operands[i] != CALM_NONE) {
        std::uint32_t &last = made[graph.values[node.operands[i]].root];
        last = std::max(last, node.side ? at : n + 1);
      }
    }
    if (node.side) {
      behind[at].push_back(std::move(node));
    }
  }
  std::vector<Node> all;
  for (std::uint32_t n = 0; n <= graph.nodes.size(); ++n) {
    std::move(behind[n].begin(), behind[n].end(), std::back_inserter(all));
    if (n < graph.nodes.size() && !graph.nodes[n].side) {
      all.push_back(std::move(graph.nodes[n]));
    }
  }
  graph.nodes = std::move(all);
}

struct Life {
  std::uint32_t value = 0;
  std::uint32_t first = CALM_NONE;  // node
  std::uint32_t last = 0;
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;
};

/// From when to when a node's operands are in use.
struct Span {
  std::uint32_t first, last;
};

/// Nodes of one launch begin and end together; one of the second stream ends at the second join
/// behind it, or at the first that waits for all.
std::vector<Span> spans_of(const std::vector<Node> &nodes) {
  const std::vector<std::uint32_t> joins = joins_of(nodes);
  std::vector<Span> spans(nodes.size());
  for (std::uint32_t n = 0; n < nodes.size(); ++n) {
    spans[n] = {n, n};
    if (n > 0 && joined(nodes[n - 1], nodes[n])) {
      spans[n].first = spans[n - 1].first;
      for (std::uint32_t i = spans[n].first; i < n; ++i) {
        spans[i].last = n;
      }
    } else if (nodes[n].side) {
      auto join = std::upper_bound(joins.begin(), joins.end(), n);
      if (join != joins.end() && !waits_for_all(nodes[*join])) {
        ++join;
      }
      spans[n].last = join == joins.end() ? static_cast<std::uint32_t>(nodes.size()) : *join;
    }
  }
  return spans;
}

std::vector<Life> lives_of(const Graph &graph) {
  std::vector<Life> lives(graph.values.size());
  const std::vector<Span> spans = spans_of(graph.nodes);
  for (std::uint32_t n = 0; n < graph.nodes.size(); ++n) {
    for (const std::uint32_t id : graph.nodes[n].operands) {
      if (id == CALM_NONE || !graph.values[id].in_workspace) {
        continue;
      }
      const std::uint32_t root = graph.values[id].root;
      Life &life = lives[root];
      life.value = root;
      life.first = std::min(life.first, spans[n].first);
      life.last = std::max(life.last, spans[n].last);
      // A view of the core's may be named where its root is not.
      life.bytes = std::max(
          {life.bytes, aligned(bytes_of(graph.values[root])),
           aligned(graph.values[id].columns ? 0
                                            : graph.values[id].at + bytes_of(graph.values[id]))});
    }
  }
  std::erase_if(lives, [](const Life &life) { return life.first == CALM_NONE; });
  return lives;
}

/// The largest first, each at the lowest offset where nothing lies that lives while it does.
std::uint64_t lay_out(std::vector<Life> &lives) {
  std::stable_sort(lives.begin(), lives.end(),
                   [](const Life &a, const Life &b) { return a.bytes > b.bytes; });
  std::uint64_t end = 0;
  std::vector<const Life *> placed;  // in order of offset
  for (Life &life : lives) {
    std::uint64_t offset = 0;
    for (const Life *other : placed) {
      if (other->last < life.first || life.last < other->first) {
        continue;
      }
      if (offset + life.bytes <= other->offset) {
        break;
      }
      offset = std::max(offset, other->offset + other->bytes);
    }
    life.offset = offset;
    end = std::max(end, offset + life.bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), offset,
                                   [](std::uint64_t at, const Life *o) { return at < o->offset; }),
                  &life);
  }
  return end;
}

}  // namespace

bool waits_for_all(const Node &node) { return node.late; }

std::vector<std::uint32_t> joins_of(const std::vector<Node> &nodes) {
  std::vector<std::uint32_t> joins;
  std::uint32_t since = 0;
  bool open = false;
  for (std::uint32_t n = 0; n < nodes.size(); ++n) {
    if (nodes[n].side) {
      open = true;
      continue;
    }
    const bool last = waits_for_all(nodes[n]);
    const bool inside = n > 0 && joined(nodes[n - 1], nodes[n]);  // of a launch
    if (open && !inside && (last || ++since >= kBetweenJoins)) {
      joins.push_back(n);
      since = 0;
      open = !last;
    }
  }
  return joins;
}

void place(Graph &graph) {
  choose_side(graph);
  start_side_early(graph);
  std::vector<Life> lives = lives_of(graph);
  graph.workspace_bytes = lay_out(lives);
  std::vector<std::uint64_t> offsets(graph.values.size());
  for (const Life &life : lives) {
    offsets[life.value] = life.offset;
  }
  for (Value &value : graph.values) {
    if (value.in_workspace) {
      value.place = {reference::Place::In::kSlot, graph.workspace, offsets[value.root] + value.at};
    }
  }
  for (Node &node : graph.nodes) {
    node.strides.clear();
    for (const std::uint32_t id : node.operands) {
      node.strides.push_back(id == CALM_NONE ? 0 : graph.stride(id));
    }
  }
}

}  // namespace calm::cuda
