// Programs as `compile` of the cuda backend sees them (cuda/graph.hpp).
#include <gtest/gtest.h>

#include <calm/ops/cast.h>
#include <calm/ops/matmul.h>
#include <calm/ops/optimizer.h>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cuda/fused.hpp"
#include "cuda/graph.hpp"

namespace calm::cuda_test {
namespace {

/// Nothing but slots.
calm_program program_of(const std::vector<calm_slot> &slots) {
  static const std::vector<calm_tensor> tensors;
  static const std::vector<calm_node> nodes;
  static const std::vector<std::uint32_t> operands;
  static const std::vector<calm_value> attrs;
  calm_program program{};
  program.size = sizeof program;
  program.schema = 1;
  program.slots = table(slots);
  program.tensors = table(tensors);
  program.nodes = table(nodes);
  program.operands = table(operands);
  program.attrs = table(attrs);
  return program;
}

TEST(Inspect, FindsTheWorkspace) {
  const std::vector<calm_slot> slots = {
      {literal("input"), 0, 64, CALM_ROLE_INPUT, 0},
      {literal("workspace"), 0, 64, CALM_ROLE_TEMP, 1},
  };
  EXPECT_EQ(cuda::inspect(program_of(slots)).workspace, 1U);
}

TEST(Inspect, RefusesAProgramWithoutOne) {
  const std::vector<calm_slot> slots = {{literal("input"), 0, 64, CALM_ROLE_INPUT, 0}};
  try {
    cuda::inspect(program_of(slots));
    FAIL() << "nothing was thrown";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_INVALID_ARGUMENT);
    EXPECT_EQ(std::string(e.what()), "expected a slot that is a workspace, found none");
  }
}

/// f32 [rows, columns].
calm_type matrix(std::int64_t rows, std::int64_t columns) {
  calm_type type{};
  type.dtype = CALM_F32;
  type.rank = 2;
  type.shape[0] = rows;
  type.shape[1] = columns;
  return type;
}

TEST(StoreAsBf16, CastsWhatConsistsOfViewsOnceAllAreMade) {
  cuda::Graph graph;
  const std::uint32_t whole = graph.add_temporary(matrix(4, 6));
  const std::uint32_t left = graph.add_temporary(matrix(4, 2));
  const std::uint32_t right = graph.add_temporary(matrix(4, 4));
  const std::uint32_t weight = graph.add_temporary(matrix(6, 3));
  const std::uint32_t product = graph.add_temporary(matrix(4, 3));
  for (const std::uint32_t part : {left, right}) {
    graph.values[part].root = whole;
    graph.values[part].columns = true;
  }
  const auto add = [&](const std::string &op, std::vector<std::uint32_t> ins, std::uint32_t out) {
    graph.nodes.push_back(cuda::make_node(graph, {}, op, std::move(ins), {out}));
  };
  add("makes_left", {}, left);
  add("makes_right", {}, right);
  add("makes_weight", {}, weight);
  add(CALM_OP_MATMUL, {whole, weight}, product);
  cuda::store_as_bf16(graph);
  std::vector<std::string> ops;
  for (const cuda::Node &node : graph.nodes) {
    ops.push_back(node.op);
  }
  EXPECT_EQ(ops, (std::vector<std::string>{"makes_left", "makes_right", CALM_OP_CAST,
                                           "makes_weight", CALM_OP_CAST, CALM_OP_MATMUL}));
}

/// A norm, what stands behind it, a guard; what is left of them once merged.
std::vector<std::string> merged(const std::vector<std::string> &between, bool read) {
  cuda::Graph graph;
  const auto scalar = [&] { return graph.add_temporary({}); };
  const std::uint32_t grads = graph.add_temporary(matrix(4, 6));
  const std::uint32_t norm = scalar(), coefficient = scalar(), ok = scalar(), bad = scalar();
  const std::uint32_t go = scalar(), out_bad = scalar();
  const auto add = [&](const std::string &op, std::vector<std::uint32_t> ins,
                       std::vector<std::uint32_t> outs) {
    graph.nodes.push_back(cuda::make_node(graph, {}, op, std::move(ins), std::move(outs)));
    graph.nodes.back().own = false;
  };
  add(CALM_OP_GLOBAL_NORM, {grads}, {norm, coefficient, ok});
  for (const std::string &op : between) {
    add(op, {}, {grads});
  }
  add(CALM_OP_GUARD, {ok, bad}, {go, out_bad});
  if (read) {
    add("reads", {ok}, {scalar()});
  }
  cuda::fuse(graph);
  std::vector<std::string> ops;
  for (const cuda::Node &node : graph.nodes) {
    ops.push_back(node.op);
    if (node.op == cuda::kGuardedNorm) {
      EXPECT_EQ(node.operands, (std::vector<std::uint32_t>{grads, bad, norm, coefficient,
                                                           read ? ok : CALM_NONE, go, out_bad}));
    }
  }
  return ops;
}

TEST(Fuse, LetsANormGuardItself) {
  EXPECT_EQ(merged({}, false), std::vector<std::string>{cuda::kGuardedNorm});
  EXPECT_EQ(merged({}, true), (std::vector<std::string>{cuda::kGuardedNorm, "reads"}));
}

TEST(Fuse, LeavesANormWhereWhatItReadsChangesBehindIt) {
  EXPECT_EQ(merged({"writes"}, false),
            (std::vector<std::string>{CALM_OP_GLOBAL_NORM, "writes", CALM_OP_GUARD}));
}

/// x makes g; y reads it; a product of g makes a gradient of [rows, columns], which is accumulated.
std::vector<std::string> order_placed(std::int64_t rows, std::int64_t columns) {
  cuda::Graph graph;
  const std::uint32_t g = graph.add_temporary(matrix(4, rows));
  const std::uint32_t s = graph.add_temporary(matrix(4, columns));
  const std::uint32_t h = graph.add_temporary(matrix(4, rows));
  const std::uint32_t gradient = graph.add_temporary(matrix(rows, columns));
  const std::uint32_t sum = graph.add_temporary(matrix(rows, columns));
  const auto add = [&](const std::string &op, std::vector<std::uint32_t> ins, std::uint32_t out) {
    graph.nodes.push_back(cuda::make_node(graph, {}, op, std::move(ins), {out}));
  };
  add("makes_s", {}, s);
  add("x", {}, g);
  add("y", {g}, h);
  add(CALM_OP_MATMUL, {g, s}, gradient);
  add(CALM_OP_ACCUMULATE, {gradient}, sum);
  cuda::place(graph);
  std::vector<std::string> ops;
  for (const cuda::Node &node : graph.nodes) {
    ops.push_back(node.op + (node.side ? " beside" : ""));
  }
  return ops;
}

TEST(Place, StartsASmallGradientOfWeightsAsSoonAsItCan) {
  const std::string product = std::string(CALM_OP_MATMUL) + " beside";
  EXPECT_EQ(order_placed(64, 128),
            (std::vector<std::string>{"makes_s", "x", product, "y", CALM_OP_ACCUMULATE}));
  EXPECT_EQ(order_placed(512, 128),
            (std::vector<std::string>{"makes_s", "x", "y", product, CALM_OP_ACCUMULATE}));
}

}  // namespace
}  // namespace calm::cuda_test
