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

/// q = x weight', the mixer reads it; the gradient of q goes into that of x and of the weight.
struct AroundQ {
  cuda::Graph graph;
  std::uint32_t weight, copy, q, grad_q, grad_weight;

  /// Of a weight with these rows, whose gradient `reads` reads.
  explicit AroundQ(std::int64_t rows, const std::string &reads = CALM_OP_ACCUMULATE) {
    const auto bf16 = [&](std::int64_t n, std::int64_t width) {
      calm_type type = matrix(n, width);
      type.dtype = CALM_BF16;
      return graph.add_temporary(type);
    };
    const std::uint32_t x = bf16(5, 32), grad_x = graph.add_temporary(matrix(5, 32));
    const std::uint32_t flat = graph.add_temporary(matrix(rows, 32));
    weight = graph.add_temporary(matrix(rows, 32));
    graph.values[weight].plain = false;
    copy = bf16(rows, 32);
    q = bf16(5, rows);
    grad_q = bf16(5, rows);
    for (const std::uint32_t id : {q, grad_q}) {
      graph.values[id].stride = (rows + 7) / 8 * 8;
    }
    grad_weight = graph.add_temporary(matrix(rows, 32));
    add(CALM_OP_CAST, {weight}, {copy});
    product(x, copy, q, 0, 1);
    std::vector<std::uint32_t> ins(cuda::kMixerInputs, CALM_NONE);
    ins[cuda::kMixerQ] = q;
    add(cuda::kMixer, ins, {bf16(5, 32)});
    std::vector<std::uint32_t> outs(cuda::kMixerGradSums + 1, CALM_NONE);
    outs[cuda::kMixerGradQ] = grad_q;
    add(cuda::kMixerGrad, ins, outs);
    product(grad_q, copy, grad_x, 0, 0);
    product(grad_q, x, grad_weight, 1, 0);
    add(reads, {flat, grad_weight, CALM_NONE}, {flat});
  }
  void add(const std::string &op, std::vector<std::uint32_t> ins, std::vector<std::uint32_t> outs) {
    graph.nodes.push_back(cuda::make_node(graph, {}, op, std::move(ins), std::move(outs)));
  }
  void product(std::uint32_t a, std::uint32_t b, std::uint32_t out, int transpose_a,
               int transpose_b) {
    add(CALM_OP_MATMUL, {a, b}, {out});
    calm_value attr{};
    attr.i64 = transpose_a;
    graph.nodes.back().attrs.push_back(attr);
    attr.i64 = transpose_b;
    graph.nodes.back().attrs.push_back(attr);
  }
  std::int64_t rows(std::uint32_t id) const { return graph.values[id].type.shape[0]; }
  std::int64_t columns(std::uint32_t id) const { return graph.values[id].type.shape[1]; }
};

TEST(PadProducts, RoundsUpTheColumnsOfQ) {
  AroundQ around(38);
  cuda::pad_products(around.graph);
  EXPECT_EQ(around.rows(around.copy), 40);
  EXPECT_EQ(around.columns(around.q), 40);
  EXPECT_EQ(around.graph.stride(around.q), 40);
  EXPECT_EQ(around.columns(around.grad_q), 40);
  EXPECT_EQ(around.rows(around.grad_weight), 40);
  EXPECT_EQ(around.rows(around.weight), 38) << "what the program names stays as it is";
  for (const cuda::Node &node : around.graph.nodes) {
    if (node.op == CALM_OP_CAST) {
      EXPECT_EQ(node.ins[0].shape[0], 38);
      EXPECT_EQ(node.outs[0].shape[0], 40);
    }
  }
}

TEST(PadProducts, LeavesWhatSomebodySees) {
  const auto stays = [](AroundQ &&around) {
    cuda::pad_products(around.graph);
    return around.rows(around.copy) == 38 && around.columns(around.q) == 38 &&
           around.columns(around.grad_q) == 38 && around.rows(around.grad_weight) == 38;
  };
  EXPECT_TRUE(stays(AroundQ(38, "reads")));
  for (const bool backward : {false, true}) {
    AroundQ read(38);
    read.add("reads", {backward ? read.grad_q : read.q}, {read.graph.add_temporary(matrix(1, 1))});
    EXPECT_TRUE(stays(std::move(read)));
    AroundQ named(38);
    named.graph.values[backward ? named.grad_q : named.q].plain = false;
    EXPECT_TRUE(stays(std::move(named)));
  }
  AroundQ even(40);
  cuda::pad_products(even.graph);
  EXPECT_EQ(even.columns(even.q), 40);
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
