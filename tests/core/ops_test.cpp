#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <calm/ops/matmul.h>
#include <calm/cpp/operator.hpp>

#include "core/graph/autodiff.hpp"
#include "core/graph/graph.hpp"
#include "core/ops/table.hpp"

namespace calm {
namespace {

using graph::Graph;

class Operators : public testing::Test {
 protected:
  Value input(const char *name, std::initializer_list<std::int64_t> shape,
              calm_axis axis0 = CALM_AXIS_NONE, calm_dtype dtype = CALM_F32) {
    return graph_.input(name, type_of(dtype, shape, axis0));
  }
  Value param(const char *name, std::initializer_list<std::int64_t> shape) {
    calm_param p{};
    p.size = sizeof p;
    p.name = str(name);
    p.type = type_of(CALM_F32, shape);
    return graph_.param(p);
  }
  std::vector<Value> emit(const char *op, std::initializer_list<Value> ins,
                          std::initializer_list<calm_value> attrs = {}) {
    return graph_.emit(op, 1, std::span(ins.begin(), ins.size()),
                       std::span(attrs.begin(), attrs.size()));
  }
  const calm_type &type(Value v) const { return graph_.tensor(v).type; }
  std::vector<std::string> ops() const {
    std::vector<std::string> names;
    for (const graph::Node &node : graph_.nodes()) {
      names.push_back(node.op);
    }
    return names;
  }
  // Operators of the backward pass of sum(y), in order, without the sum's own broadcast.
  std::vector<std::string> backward(Value y) {
    const Value loss = emit("sum", {y})[0];
    const std::size_t forward = graph_.nodes().size();
    gradients_ = graph::differentiate(graph_, loss, input("seed", {}));
    std::vector<std::string> names = ops();
    names.erase(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(forward) + 1);
    return names;
  }
  std::string refusal(Value y) {
    try {
      backward(y);
    } catch (const Error &e) {
      EXPECT_EQ(e.status(), CALM_UNSUPPORTED);
      return e.what();
    }
    return "";
  }

  graph::ParamLayout layout_;
  Graph graph_{"test", {128, 2, 128}, CALM_F32, layout_, ops::find_operator};
  std::vector<Value> gradients_;
};

using Names = std::vector<std::string>;

TEST(OperatorTable, HasEachIdAndRevisionOnce) {
  std::set<std::pair<std::string_view, std::uint32_t>> seen;
  for (const ops::OperatorEntry &entry : ops::operators()) {
    EXPECT_TRUE(seen.emplace(entry.id, entry.revision).second) << entry.id;
  }
}

TEST(OperatorTable, FindsByIdAndRevision) {
  EXPECT_NE(ops::find_operator("selective_scan", 1), nullptr);
  EXPECT_EQ(ops::find_operator("selective_scan", 2), nullptr);
  EXPECT_EQ(ops::find_operator("attention", 1), nullptr);
}

TEST(OperatorTable, EntriesAreComplete) {
  for (const ops::OperatorEntry &entry : ops::operators()) {
    SCOPED_TRACE(entry.id);
    EXPECT_EQ(entry.table.size, sizeof(calm_operator));
    EXPECT_NE(entry.table.infer, nullptr);
    EXPECT_NE(entry.table.cost, nullptr);
    EXPECT_LE(entry.table.min_in, entry.table.max_in);
    EXPECT_GE(entry.table.max_out, 1u);
    EXPECT_GT(entry.table.doc.len, 0u);
  }
}

TEST_F(Operators, RowsInGiveRowsOut) {
  const Value x = input("x", {128, 6}, CALM_AXIS_TOKENS);
  const Value w = input("w", {6, 4});
  const Value ids = input("ids", {128}, CALM_AXIS_TOKENS, CALM_I32);
  const Value column = input("column", {6});
  EXPECT_EQ(type(emit("matmul", {x, w})[0]).axis0, CALM_AXIS_TOKENS);
  EXPECT_EQ(type(emit("embedding", {ids, w})[0]).axis0, CALM_AXIS_TOKENS);
  EXPECT_EQ(type(emit("gelu", {x})[0]).axis0, CALM_AXIS_TOKENS);
  EXPECT_EQ(type(emit("add", {x, column})[0]).axis0, CALM_AXIS_TOKENS);
  for (const Value out : emit("layer_norm", {x, column, column})) {
    EXPECT_EQ(type(out).axis0, CALM_AXIS_TOKENS);
  }
  for (const Value out : emit("split", {x}, {value("size0", 2), value("size1", 4)})) {
    EXPECT_EQ(type(out).axis0, CALM_AXIS_TOKENS);
  }
  EXPECT_EQ(type(emit("sum", {x}, {value("axis", 1)})[0]).axis0, CALM_AXIS_TOKENS);
}

TEST_F(Operators, SumsOverRowsDropTheTag) {
  const Value x = input("x", {128, 6}, CALM_AXIS_TOKENS);
  const Value column = input("column", {6});
  const Value row = input("row", {128}, CALM_AXIS_TOKENS);
  EXPECT_EQ(type(emit("sum", {x}, {value("axis", 0)})[0]).axis0, CALM_AXIS_NONE);
  EXPECT_EQ(type(emit("matmul", {x, x}, {value("transpose_a", true)})[0]).axis0, CALM_AXIS_NONE);
  const std::vector<Value> grads = emit("layer_norm_grad", {x, column, row, row, x});
  EXPECT_EQ(type(grads[0]).axis0, CALM_AXIS_TOKENS);
  EXPECT_EQ(type(grads[1]).axis0, CALM_AXIS_NONE);
}

TEST_F(Operators, StatesCountSequencesAndBoundsCountChunks) {
  const Value x = input("x", {130, 6}, CALM_AXIS_TOKENS);
  const Value b = input("b", {130, 4}, CALM_AXIS_TOKENS);
  const Value offsets = input("offsets", {4}, CALM_AXIS_NONE, CALM_I32);
  const std::vector<Value> scan =
      emit("selective_scan", {x, x, input("a", {6, 4}), b, b, input("d", {6}), offsets});
  EXPECT_EQ(describe(type(scan[0])), "f32[130, 6]");
  EXPECT_EQ(type(scan[0]).axis0, CALM_AXIS_TOKENS);
  EXPECT_EQ(describe(type(scan[1])), "f32[3, 6, 4]");
  EXPECT_EQ(type(scan[1]).axis0, CALM_AXIS_CHUNKS);
  EXPECT_EQ(describe(type(scan[2])), "f32[3, 6, 4]");
  EXPECT_EQ(type(scan[2]).axis0, CALM_AXIS_SEQUENCES);
  const std::vector<Value> conv = emit("causal_conv_silu", {x, input("w", {6, 5}), offsets});
  EXPECT_EQ(describe(type(conv[1])), "f32[3, 6, 5]");
  EXPECT_EQ(type(conv[1]).axis0, CALM_AXIS_SEQUENCES);
  EXPECT_EQ(type(emit("pool", {x, offsets})[0]).axis0, CALM_AXIS_SEQUENCES);
}

TEST_F(Operators, ChunksRoundUp) {
  for (const std::int64_t rows : {1, 64, 65, 128, 129}) {
    const Value x = graph_.input("x", type_of(CALM_F32, {rows, 1}));
    const Value one = input("one", {1, 1});
    const Value offsets = input("offsets", {2}, CALM_AXIS_NONE, CALM_I32);
    const Value scan = emit("selective_scan", {x, x, one, x, x, input("d", {1}), offsets})[1];
    EXPECT_EQ(type(scan).shape[0], (rows + 63) / 64);
  }
}

TEST_F(Operators, MatmulGradientsAreMatmuls) {
  const Value a = param("a", {3, 4});
  const Value b = param("b", {5, 4});
  EXPECT_EQ(backward(emit("matmul", {a, b}, {value("transpose_b", true)})[0]),
            (Names{"matmul", "matmul"}));
  EXPECT_EQ(describe(type(gradients_[0])), "f32[3, 4]");
  EXPECT_EQ(describe(type(gradients_[1])), "f32[5, 4]");
}

TEST_F(Operators, OnlyWantedGradientsAreWritten) {
  const Value x = input("x", {3, 4});
  EXPECT_EQ(backward(emit("matmul", {x, param("w", {4, 5})})[0]), (Names{"matmul"}));
}

TEST_F(Operators, ScanGradientIsOneNode) {
  const Value x = input("x", {8, 2});
  const Value offsets = input("offsets", {2}, CALM_AXIS_NONE, CALM_I32);
  const Value a = param("a", {2, 3});
  const Value b = input("b", {8, 3});
  const Value d = param("d", {2});
  EXPECT_EQ(backward(emit("selective_scan", {x, x, a, b, b, d, offsets})[0]),
            (Names{"selective_scan_grad"}));
  EXPECT_EQ(describe(type(gradients_[0])), "f32[2, 3]");
  EXPECT_EQ(describe(type(gradients_[1])), "f32[2]");
}

TEST_F(Operators, BroadcastOperandsGetSummedGradients) {
  const Value x = input("x", {8, 2});
  EXPECT_EQ(backward(emit("add", {x, param("row", {2})})[0]), (Names{"sum"}));
  EXPECT_EQ(describe(type(gradients_[0])), "f32[2]");
}

TEST_F(Operators, ABroadcastOverTwoAxesHasNoGradient) {
  const Value x = input("x", {8, 3, 2});
  EXPECT_EQ(refusal(emit("mul", {x, param("row", {2})})[0]),
            "[mul] mul: b: expected a broadcast over one axis for a gradient, found f32[2] over "
            "f32[8, 3, 2]");
}

TEST_F(Operators, UnusedPartsOfASplitGetZeros) {
  const Value x = param("x", {8, 5});
  const Value part = emit("split", {x}, {value("size0", 2), value("size1", 3)})[1];
  EXPECT_EQ(backward(part), (Names{"fill", "concat"}));
}

TEST_F(Operators, LikeOperandsGetNoGradient) {
  const Value x = param("x", {8, 5});
  EXPECT_EQ(backward(emit("fill", {x})[0]), Names{});
  EXPECT_FALSE(gradients_[0]);
}

TEST_F(Operators, AStateIsNotDifferentiable) {
  const Value x = param("x", {8, 2});
  const Value offsets = input("offsets", {2}, CALM_AXIS_NONE, CALM_I32);
  const Value conv =
      emit("causal_conv_silu", {x, param("w", {2, 4}), offsets, input("state", {1, 2, 4})})[0];
  EXPECT_EQ(refusal(conv), "[causal_conv_silu] causal_conv_silu: state_in is not differentiable");
}

TEST_F(Operators, SavedOutputsAreNotDifferentiable) {
  const Value x = param("x", {8, 2});
  const Value w = param("w", {2});
  EXPECT_EQ(refusal(emit("layer_norm", {x, w, w})[2]),
            "[layer_norm] layer_norm: rstd is not differentiable");
}

TEST_F(Operators, OptimizerOperatorsHaveNoGradient) {
  for (const char *op : {"accumulate", "global_norm", "guard", "adamw", "record", "sample"}) {
    EXPECT_EQ(ops::find_operator(op, 1)->gradient, nullptr) << op;
  }
}

TEST_F(Operators, GatedSiluIsLoweredToSimplerOnes) {
  const Value x = input("x", {8, 2});
  graph_.output("y", emit("gated_silu", {x, x})[0]);
  graph_.lower({true}, {"refused"});
  EXPECT_EQ(ops(), (Names{"silu", "mul"}));
  graph_.lower({true, false}, {"refused", ""});
  EXPECT_EQ(ops(), (Names{"sigmoid", "mul", "mul"}));
}

TEST_F(Operators, SubtractionIsLoweredToAnAdditionOfTheNegative) {
  const Value x = input("x", {8, 2});
  graph_.output("y", emit("sub", {x, x})[0]);
  graph_.lower({true}, {"refused"});
  EXPECT_EQ(ops(), (Names{"neg", "add"}));
}

TEST_F(Operators, CostCountsArithmeticAndTraffic) {
  emit("matmul", {input("a", {3, 4}), input("b", {4, 5})});
  const graph::Node &node = graph_.nodes().back();
  const std::vector<calm_value> attrs = graph::attribute_values(node);
  const graph::CallRecord record(graph_, node.ins, node.outs, attrs);
  calm_cost cost{};
  call(node.definition->cost, &record.call, &cost);
  EXPECT_EQ(cost.flops, 2.0 * 3 * 4 * 5);
  EXPECT_EQ(cost.bytes, 4.0 * (12 + 20 + 15));
}

TEST_F(Operators, AttributesOutsideTheirRangeAreRefused) {
  const Value x = input("x", {8, 2});
  EXPECT_THROW(emit("sum", {x}, {value("axis", 2)}), Error);
  EXPECT_THROW(
      emit("pool", {x, input("offsets", {2}, CALM_AXIS_NONE, CALM_I32)}, {value("mode", -1)}),
      Error);
  EXPECT_THROW(emit("global_norm", {x}, {value("max_norm", -1.0)}), Error);
}

}  // namespace
}  // namespace calm
