// What the parts of `fuse` share: nodes of a graph by what they read and make, and their removal.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "cuda/graph.hpp"

namespace calm::cuda {

class Blas;

/// A graph while nodes of it are merged. A merged node takes the place of the last of its parts;
/// the others are dropped at the end.
class Fusion {
 public:
  explicit Fusion(Graph &graph);

  Graph &graph() { return graph_; }
  Node &node(std::uint32_t i) { return graph_.nodes[i]; }
  std::uint32_t count() const { return static_cast<std::uint32_t>(graph_.nodes.size()); }
  bool dropped(std::uint32_t i) const { return dropped_[i]; }

  std::uint32_t in(std::uint32_t node, std::uint32_t i) const;
  std::uint32_t out(std::uint32_t node, std::uint32_t i) const;
  /// Whether node `i` (CALM_NONE: no) is that operator of the catalogue, still there.
  bool is(std::uint32_t i, std::string_view op) const;
  /// The node that makes a plain value of the workspace, CALM_NONE for others.
  std::uint32_t maker(std::uint32_t value) const;
  const std::vector<std::uint32_t> &users(std::uint32_t value) const { return users_[value]; }
  /// The one node of that operator that reads the value, CALM_NONE if there is none or several.
  std::uint32_t user(std::uint32_t value, std::string_view op) const;
  /// Whether every reader of a plain value is among `nodes`.
  bool only_for(std::uint32_t value, const std::vector<std::uint32_t> &nodes) const;

  std::vector<std::int64_t> strides_of(const Node &node) const;
  /// Whether every reader of a value stands behind node `at`.
  bool read_after(std::uint32_t value, std::uint32_t at) const;

  /// Puts `merged` where the last of `parts` was and drops the others; at once again findable by
  /// its operands. What nobody reads any more keeps no memory.
  void replace(const std::vector<std::uint32_t> &parts, Node merged);
  /// Removes dropped nodes, adds those of `late` before the first node that reads what they make.
  void finish(std::vector<Node> late);

 private:
  Graph &graph_;
  std::vector<std::vector<std::uint32_t>> users_;
  std::vector<std::uint32_t> makers_;
  std::vector<bool> dropped_;
};

/// Consecutive columns of a sum and the value they are, CALM_NONE for those that nobody wants.
struct Piece {
  std::uint32_t value;
  std::int64_t width;
};
/// Adds up the rows of `parts`; fused.hpp.
Node sum_columns_node(const Graph &graph, const Node &from, std::uint32_t parts,
                      const std::vector<Piece> &pieces);

/// The scan with its projection and gate, and its gradient (fuse_mixer.cpp).
void fuse_mixers(Fusion &fusion, std::vector<Node> &late);

}  // namespace calm::cuda
