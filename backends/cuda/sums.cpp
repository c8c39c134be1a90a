// Sums over the ranks beside the backward pass: which parts of a flat group travel early, and which
// nodes wait for them.
#include <calm/ops/all_reduce.h>
#include <calm/ops/optimizer.h>

#include <calm/cpp/value.hpp>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "cuda/fused.hpp"
#include "cuda/graph.hpp"

namespace calm::cuda {
namespace {

/// Less is not worth a graph and a sum of its own: links are idle most of such a sum.
constexpr std::uint64_t kLeastBytes = std::uint64_t{1} << 20;
/// At each the two streams meet and another graph is started.
constexpr std::uint64_t kMostPieces = 4;

using reference::Place;

/// Bytes of a slot.
struct Range {
  std::uint32_t slot;
  std::uint64_t begin, end;
};
bool overlap(const Range &a, const Range &b) {
  return a.slot == b.slot && a.begin < b.end && b.begin < a.end;
}
bool operator==(const Range &a, const Range &b) {
  return a.slot == b.slot && a.begin == b.begin && a.end == b.end;
}

/// Nothing for what is absent or in no slot. That of the workspace is known once it is laid out.
std::optional<Range> range_of(const Graph &graph, std::uint32_t id) {
  if (id == CALM_NONE || graph.values[id].place.in != Place::In::kSlot) {
    return std::nullopt;
  }
  const Value &value = graph.values[id];
  std::uint64_t elements = count(value.type);
  if (value.type.rank > 0) {
    elements = std::max(elements, static_cast<std::uint64_t>(graph.stride(id)) *
                                      static_cast<std::uint64_t>(value.type.shape[0]));
  }
  const std::uint64_t begin = value.place.offset;
  return Range{value.place.slot, begin, begin + elements * dtype_bytes(value.type.dtype)};
}

std::uint32_t x_of(const Node &sum) { return sum.operands[CALM_ALL_REDUCE_X]; }
std::uint32_t y_of(const Node &sum) { return sum.operands.back(); }

bool of_workspace(const Graph &graph, const Node &sum) {
  return (x_of(sum) != CALM_NONE && graph.values[x_of(sum)].in_workspace) ||
         (y_of(sum) != CALM_NONE && graph.values[y_of(sum)].in_workspace);
}

/// The nodes that make a part of a flat group, and its bytes.
struct Piece {
  std::uint32_t sum;  // node that it is cut from
  Range range;
  std::vector<std::uint32_t> accumulates;
};

/// An `accumulate` in place and where.
struct Gradient {
  std::uint32_t node;
  Range range;
};

/// What writes the range that a sum adds up, the last gradients of the range first; nothing where
/// not all of it is gradients that nobody else touches before.
std::vector<Gradient> gradients_of(const Graph &graph, std::uint32_t sum, const Range &range) {
  std::vector<Gradient> found;
  for (std::uint32_t n = 0; n < sum; ++n) {
    const Node &node = graph.nodes[n];
    const bool gradient = node.op == CALM_OP_ACCUMULATE && !node.own;
    for (std::size_t i = 0; i < node.operands.size(); ++i) {
      const std::optional<Range> touched = range_of(graph, node.operands[i]);
      if (!touched || graph.values[node.operands[i]].in_workspace || !overlap(*touched, range)) {
        continue;
      }
      if (!gradient || i == CALM_ACCUMULATE_VALUE || i == CALM_ACCUMULATE_FIRST) {
        return {};
      }
      if (i == CALM_ACCUMULATE_SUM) {
        found.push_back({n, *touched});
      } else if (found.empty() || found.back().node != n || !(found.back().range == *touched)) {
        return {};
      }
    }
  }
  std::sort(found.begin(), found.end(),
            [](const Gradient &a, const Gradient &b) { return a.range.begin > b.range.begin; });
  for (std::size_t i = 1; i < found.size(); ++i) {
    if (found[i].range.end > found[i - 1].range.begin) {
      return {};
    }
  }
  return found;
}

/// A view of what `sum` adds up, cut to `range`.
std::uint32_t view(Graph &graph, std::uint32_t id, const Range &range) {
  Value value = graph.values[id];
  value.at += range.begin - value.place.offset;
  value.place.offset = range.begin;
  value.type.rank = 1;
  value.type.shape[0] = static_cast<std::int64_t>((range.end - range.begin) / sizeof(float));
  graph.values.push_back(value);  // its root stays
  return static_cast<std::uint32_t>(graph.values.size() - 1);
}

void limit(Graph &graph, Node &sum, const Range &range) {
  for (std::uint32_t &id : sum.operands) {
    id = view(graph, id, range);
  }
  sum.ins[0] = sum.outs[0] = graph.values[sum.operands[0]].type;
}

/// Cuts by the layout of the group alone, so that all ranks cut alike, from its end, since the
/// backward pass ends with the layers that are declared first. What is left stays where it was.
void cut(Graph &graph, std::uint32_t sum, std::vector<Piece> &pieces) {
  const std::optional<Range> whole = range_of(graph, x_of(graph.nodes[sum]));
  const std::optional<Range> result = range_of(graph, y_of(graph.nodes[sum]));
  if (!whole || !result || !(*whole == *result) || of_workspace(graph, graph.nodes[sum])) {
    return;
  }
  const std::uint64_t least = std::max(kLeastBytes, (whole->end - whole->begin) / kMostPieces);
  Piece piece{sum, *whole, {}};
  std::uint64_t end = whole->end;
  for (const Gradient &gradient : gradients_of(graph, sum, *whole)) {
    piece.accumulates.push_back(gradient.node);
    if (end - gradient.range.begin >= least && gradient.range.begin > whole->begin) {
      piece.range = {whole->slot, gradient.range.begin, end};
      pieces.push_back(piece);
      piece.accumulates.clear();
      end = gradient.range.begin;
    }
  }
  if (end < whole->end) {
    limit(graph, graph.nodes[sum], {whole->slot, whole->begin, end});
  }
}

/// Takes pieces in their order to where they are final.
class Hoist {
 public:
  explicit Hoist(Graph &graph)
      : graph_(graph),
        makers_(graph.values.size(), CALM_NONE),
        taken_(graph.nodes.size()),
        before_(graph.nodes.size() + 1) {
    for (std::uint32_t n = 0; n < graph.nodes.size(); ++n) {
      const Node &node = graph.nodes[n];
      for (std::size_t i = node.ins.size(); i < node.operands.size(); ++i) {
        if (node.operands[i] != CALM_NONE) {
          makers_[graph.values[node.operands[i]].root] = n;
        }
      }
    }
  }

  void take(const Piece &piece) {
    std::vector<std::uint32_t> sums;
    for (const std::uint32_t n : piece.accumulates) {
      const Node &node = graph_.nodes[n];
      const std::uint32_t maker = maker_of(node.operands[CALM_ACCUMULATE_VALUE]);
      if (maker != CALM_NONE && graph_.nodes[maker].own && graph_.nodes[maker].op == kSumColumns) {
        if (!taken_[maker]) {
          taken_[maker] = true;
          sums.push_back(maker);
          follow(maker_of(graph_.nodes[maker].operands[0]));
        }
      } else {
        follow(maker);
      }
      taken_[n] = true;
    }
    std::vector<std::uint32_t> accumulates = piece.accumulates;
    std::sort(sums.begin(), sums.end());
    std::sort(accumulates.begin(), accumulates.end());
    std::vector<Node> &here = before_[at_];
    for (const std::vector<std::uint32_t> *nodes : {&sums, &accumulates}) {
      for (const std::uint32_t n : *nodes) {
        here.push_back(graph_.nodes[n]);
      }
    }
    Node sum = graph_.nodes[piece.sum];
    limit(graph_, sum, piece.range);
    here.push_back(std::move(sum));
  }

  void finish() {
    std::vector<Node> all;
    for (std::uint32_t n = 0; n <= graph_.nodes.size(); ++n) {
      std::move(before_[n].begin(), before_[n].end(), std::back_inserter(all));
      if (n < graph_.nodes.size() && !taken_[n]) {
        all.push_back(std::move(graph_.nodes[n]));
      }
    }
    graph_.nodes = std::move(all);
  }

 private:
  std::uint32_t maker_of(std::uint32_t id) const {
    return id == CALM_NONE ? id : makers_[graph_.values[id].root];
  }
  /// Never before the piece taken last: sums have the same order on every rank, whatever their
  /// programs were merged to.
  void follow(std::uint32_t maker) { at_ = maker == CALM_NONE ? at_ : std::max(at_, maker + 1); }

  Graph &graph_;
  std::vector<std::uint32_t> makers_;  // by root: the last node that writes it
  std::vector<bool> taken_;
  std::vector<std::vector<Node>> before_;  // by node: those that come to stand in front of it
  std::uint32_t at_ = 0;
};

}  // namespace

bool is_sum(const Node &node) { return node.op == CALM_OP_ALL_REDUCE && !node.own; }

void start_sums_early(Graph &graph) {
  std::vector<Piece> pieces;
  for (std::uint32_t n = 0; n < graph.nodes.size(); ++n) {
    if (is_sum(graph.nodes[n])) {
      cut(graph, n, pieces);
    }
  }
  Hoist hoist(graph);
  for (const Piece &piece : pieces) {
    hoist.take(piece);
  }
  hoist.finish();
}

std::vector<std::uint32_t> joins_of_sums(const Graph &graph) {
  std::vector<std::uint32_t> joins;
  std::vector<Range> under_way;
  bool at_once = false;  // memory of the workspace may be another value's soon
  for (std::uint32_t n = 0; n < graph.nodes.size(); ++n) {
    const Node &node = graph.nodes[n];
    const bool touches =
        std::any_of(node.operands.begin(), node.operands.end(), [&](std::uint32_t id) {
          const std::optional<Range> range = range_of(graph, id);
          return range && std::any_of(under_way.begin(), under_way.end(),
                                      [&](const Range &sum) { return overlap(*range, sum); });
        });
    if (at_once || (touches && !is_sum(node))) {
      joins.push_back(n);
      under_way.clear();
      at_once = false;
    }
    if (is_sum(node)) {
      at_once = of_workspace(graph, node);
      for (const std::uint32_t id : node.operands) {
        if (const std::optional<Range> range = range_of(graph, id)) {
          under_way.push_back(*range);
        }
      }
    }
  }
  return joins;
}

}  // namespace calm::cuda
