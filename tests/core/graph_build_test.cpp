#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/graph/graph.hpp"
#include "core/graph/program.hpp"
#include "core/ops/table.hpp"

namespace calm::graph {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

OperatorLookup lookup() {
  return
      [](std::string_view id, std::uint32_t revision) { return ops::find_operator(id, revision); };
}

template <class Body>
Error error_of(Body &&body) {
  try {
    body();
  } catch (const Error &e) {
    return e;
  }
  return {CALM_OK, "nothing was thrown"};
}

class GraphBuild : public testing::Test {
 protected:
  calm_type rows(std::int64_t n, std::int64_t d) { return type_of(CALM_F32, {n, d}); }
  Value op(std::string_view name, std::vector<Value> ins, std::vector<calm_value> attrs = {}) {
    return graph_.emit(name, 1, ins, attrs).front();
  }
  std::vector<std::string> ops() const {
    std::vector<std::string> names;
    for (const Node &node : graph_.nodes()) {
      names.push_back(node.op);
    }
    return names;
  }
  static calm_param weight(std::string_view name, std::int64_t n) {
    calm_param p{};
    p.size = sizeof p;
    p.decay = 1;
    p.name = str(name);
    p.type = type_of(CALM_F32, {n});
    return p;
  }

  ParamLayout layout_;
  Graph graph_{"test", {4, 2, 4}, CALM_F32, layout_, lookup()};
};

TEST_F(GraphBuild, ErrorsNameTheOperatorAndWhereItStands) {
  const Value a = graph_.input("a", rows(4, 3));
  const Value b = graph_.input("b", rows(5, 2));
  graph_.push_scope("blocks.0");
  graph_.push_scope("mixer");
  const Error mismatch = error_of([&] { op("matmul", {a, b}); });
  EXPECT_EQ(mismatch.status(), CALM_INVALID_ARGUMENT);
  EXPECT_THAT(mismatch.what(), StartsWith("[matmul] blocks.0/mixer/matmul: b: expected f32[3, 2]"));
  graph_.pop_scope();

  const Error unknown = error_of([&] { op("warp", {a}); });
  EXPECT_EQ(unknown.status(), CALM_UNSUPPORTED);
  EXPECT_STREQ(unknown.what(), "[warp] blocks.0/warp: no operator of this name and revision");
  EXPECT_EQ(error_of([&] {
              graph_.emit("add", 2, std::vector<Value>{a, a}, {});
            }).status(),
            CALM_UNSUPPORTED);

  EXPECT_THAT(error_of([&] { op("add", {a}); }).what(),
              HasSubstr("expected 2 to 2 operands, found 1"));
  EXPECT_THAT(error_of([&] {
                op("neg", {a, a});
              }).what(),
              HasSubstr("expected 1 to 1 operands, found 2"));
  EXPECT_THAT(error_of([&] { op("neg", {Value{77}}); }).what(),
              HasSubstr("operand is not a value of this graph"));
  EXPECT_TRUE(graph_.nodes().empty());
}

TEST_F(GraphBuild, AttributesAreCheckedAgainstTheSchema) {
  const Value a = graph_.input("a", rows(4, 3));
  EXPECT_THAT(error_of([&] { op("neg", {a}, {value("axis", 1)}); }).what(),
              HasSubstr("unknown attribute axis"));
  EXPECT_THAT(error_of([&] { op("sum", {a}, {value("axis", 1.0)}); }).what(),
              HasSubstr("attribute axis has the wrong type"));
  EXPECT_THAT(error_of([&] { op("cast", {a}); }).what(), HasSubstr("attribute dtype is missing"));
  op("sum", {a}, {});
  ASSERT_EQ(graph_.nodes().back().attrs.size(), 1u);
  EXPECT_EQ(graph_.nodes().back().attrs[0].i64, -1);  // the schema's default
}

TEST_F(GraphBuild, AbsentOperandsAtTheEndAreLeftOut) {
  const Value x = graph_.input("x", rows(4, 3));
  const Value w = graph_.input("w", rows(3, 2));
  const Value offsets = graph_.input("offsets", type_of(CALM_I32, {3}));
  op("causal_conv_silu", {x, w, offsets, Value{}});
  EXPECT_EQ(graph_.nodes().back().ins.size(), 3u);
}

TEST_F(GraphBuild, AParameterIsTheSameValueWheneverItIsAskedFor) {
  const Value first = graph_.param(weight("w", 4));
  EXPECT_EQ(graph_.param(weight("w", 4)).id, first.id);
  EXPECT_THAT(error_of([&] { graph_.param(weight("w", 5)); }).what(),
              HasSubstr("parameter w: expected f32[4], found f32[5]"));
  layout_.freeze();
  EXPECT_EQ(graph_.param(weight("w", 4)).id, first.id);
  EXPECT_EQ(error_of([&] { graph_.param(weight("new", 4)); }).status(), CALM_INVALID_ARGUMENT);
}

TEST_F(GraphBuild, StepValuesAreSharedByNameAndNaturallyAligned) {
  const Value row = graph_.step_value("row", CALM_I32);
  graph_.step_value("seed", CALM_I64);
  EXPECT_EQ(graph_.step_value("row", CALM_I32).id, row.id);
  EXPECT_EQ(graph_.step_values()[1].offset, 8u);
  EXPECT_EQ(graph_.step_bytes(), 16u);
  EXPECT_EQ(error_of([&] { graph_.step_value("row", CALM_F32); }).status(), CALM_INVALID_ARGUMENT);
}

TEST_F(GraphBuild, StatesAreAbsentUntilTheGraphReadsThem) {
  const std::int64_t shape[] = {3, 2};
  EXPECT_FALSE(graph_.state_in("conv", CALM_F32, shape, 2));
  graph_.keep_state(true, true);
  const Value state = graph_.state_in("conv", CALM_F32, shape, 2);
  ASSERT_TRUE(state);
  EXPECT_EQ(describe(graph_.tensor(state).type), "f32[2, 3, 2]");
  graph_.state_out("conv", op("neg", {state}));
  graph_.eliminate_dead_code();
  EXPECT_EQ(ops(), (std::vector<std::string>{"neg"}));
}

TEST_F(GraphBuild, NodesNothingDependsOnDisappear) {
  const Value a = graph_.input("a", rows(4, 3));
  const Value b = graph_.input("b", type_of(CALM_F32, {3}));
  op("exp", {op("neg", {a})});
  const std::vector<Value> norm = graph_.emit("layer_norm", 1, std::vector<Value>{a, b, b}, {});
  graph_.output("y", op("tanh", {norm[0]}));
  graph_.eliminate_dead_code();
  EXPECT_EQ(ops(), (std::vector<std::string>{"layer_norm", "tanh"}));
  const std::vector<std::uint32_t> want = {norm[0].id, CALM_NONE, CALM_NONE};
  EXPECT_EQ(graph_.nodes()[0].outs, want);
  graph_.eliminate_dead_code();  // again changes nothing
  EXPECT_EQ(graph_.nodes()[0].outs, want);
}

// Nothing is left that a backend's check of the tables could object to.
TEST_F(GraphBuild, WhatNobodyComputesTakesNoPlaceInAProgram) {
  const Value small = graph_.input("a", type_of(CALM_F32, {1}));
  const Value large = graph_.input("b", rows(4, 3000));
  op("neg", {large});
  graph_.output("y", op("neg", {small}));
  graph_.eliminate_dead_code();
  const Program program(graph_);
  const calm_program &table = program.table();
  for (std::uint32_t i = 0; i < table.tensors.count; ++i) {
    const auto &tensor = record<calm_tensor>(table.tensors, i);
    if (tensor.slot != CALM_NONE) {
      EXPECT_LE(tensor.offset + tensor.bytes, record<calm_slot>(table.slots, tensor.slot).bytes)
          << copy(tensor.name);
    }
  }
}

TEST_F(GraphBuild, AnOutputMustBeComputed) {
  const Value a = graph_.input("a", rows(4, 3));
  EXPECT_EQ(error_of([&] { graph_.output("a", a); }).status(), CALM_INTERNAL);
}

TEST_F(GraphBuild, AnUpdateHasTheTypeOfItsTarget) {
  const Value state = graph_.stored("s", Slot::kState, rows(4, 3));
  const Value wrong = op("sum", {graph_.input("a", rows(4, 3))});
  EXPECT_EQ(error_of([&] { graph_.update(wrong, state); }).status(), CALM_INTERNAL);
}

TEST_F(GraphBuild, AProgramRefusesAReadAfterTheOverwrite) {
  const Value state = graph_.stored("s", Slot::kState, rows(4, 3));
  graph_.update(op("neg", {state}), state);
  graph_.output("late", op("exp", {state}));
  const Error error = error_of([&] { const Program program(graph_); });
  EXPECT_EQ(error.status(), CALM_INTERNAL);
  EXPECT_STREQ(error.what(), "[exp] exp: reads s after it was overwritten");
}

TEST_F(GraphBuild, AProgramRefusesASecondOverwrite) {
  const Value state = graph_.stored("s", Slot::kState, rows(4, 3));
  const Value a = op("neg", {state});
  const Value b = op("exp", {state});
  graph_.update(a, state);
  graph_.update(b, state);
  EXPECT_STREQ(error_of([&] { const Program program(graph_); }).what(),
               "[exp] exp: reads s after it was overwritten");
}

TEST_F(GraphBuild, AProgramRefusesToReadAParameterAfterItsGroupWasOverwritten) {
  const Value w = graph_.param(weight("w", 64));
  layout_.freeze();
  const Value group = graph_.flat_group(Slot::kWeights, 0);
  graph_.update(op("neg", {group}), group);
  graph_.output("late", op("exp", {w}));
  EXPECT_STREQ(error_of([&] { const Program program(graph_); }).what(),
               "[exp] exp: reads w after it was overwritten");
}

}  // namespace
}  // namespace calm::graph
