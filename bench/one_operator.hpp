#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/graph/graph.hpp"
#include "core/run/stage.hpp"

namespace calm::bench {

/// A node of `graph` in words: "matmul f32[5760,64] f32[256,64] transpose_b=1".
std::string describe_node(const graph::Graph &graph, const graph::Node &node);

/// What its operator's cost function says of a node.
calm_cost cost_of(const graph::Graph &graph, const graph::Node &node);

/// A node of a larger program as a program of its own, with operands of the same types in the same
/// storage (parameters stay parameters, what was overwritten in place still is), filled with
/// numbers that are usual there.
class OneOperator {
 public:
  /// `offsets`: what stands for the ends of sequences, as many as the graph's bucket has.
  OneOperator(run::Session &session, const graph::Graph &graph, const graph::Node &node,
              std::span<const std::int32_t> offsets);
  void run() { stage_->run(); }

 private:
  void make_flat_slots(run::Session &session, const graph::Graph &graph);
  void fill(const std::string &op, std::span<const std::int32_t> offsets);

  std::vector<run::Buffer> flat_;
  run::SlotBuffers shared_{};
  std::unique_ptr<run::Stage> stage_;
};

}  // namespace calm::bench
