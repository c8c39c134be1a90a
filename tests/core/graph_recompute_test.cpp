// Gradient checkpointing as a pass over a graph.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "core/graph/optimizer.hpp"
#include "core/run/session.hpp"
#include "tests/core/model_fixture.hpp"

namespace calm::graph {
namespace {

constexpr model_test::Shape kDeep = {32, 8, 64, 2, 2, 8, 4, 0};

Graph training_graph(const run::LanguageModel &model, bool recompute) {
  OptimizerOptions options;
  options.recompute = recompute;
  return model.train({1024, 16, 64}, model_test::next_token(), options, true);
}

std::size_t count(const Graph &graph, const std::string &op) {
  return static_cast<std::size_t>(std::count_if(graph.nodes().begin(), graph.nodes().end(),
                                                [&](const Node &node) { return node.op == op; }));
}

TEST(Recompute, KeepsTheResidualStreamAndLittleElse) {
  const auto session = model_test::reference();
  const auto model = model_test::make_model(kDeep);
  const auto bytes = [&](bool recompute) {
    return session->plan(training_graph(*model, recompute))->slot_bytes(Slot::kWorkspace);
  };
  const std::uint64_t stream = 1024 * 32 * 4;
  // Two segments a layer; one of them at a time, and the loss over its logits, lie beside them.
  EXPECT_LT(bytes(true), 2 * 8 * stream + 40 * stream);
  EXPECT_LT(bytes(true), bytes(false) / 3);
}

TEST(Recompute, RepeatsEachNodeOnceAndTheLastSegmentNever) {
  const auto model = model_test::make_model(kDeep);
  EXPECT_EQ(count(training_graph(*model, false), "selective_scan"), 8u);
  EXPECT_EQ(count(training_graph(*model, true), "selective_scan"), 16u);
  EXPECT_EQ(count(training_graph(*model, true), "embedding"), 1u);
  EXPECT_EQ(count(training_graph(*model, true), "cross_entropy"), 1u);
}

TEST(Recompute, AGraphWithoutABackwardPassStaysAsItIs) {
  const auto model = model_test::make_model(kDeep);
  Graph graph = model->eval({64, 2, 32}, model_test::next_token());
  const std::size_t nodes = graph.nodes().size();
  graph.recompute_activations();
  EXPECT_EQ(graph.nodes().size(), nodes);
}

}  // namespace
}  // namespace calm::graph
