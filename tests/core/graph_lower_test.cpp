// Lowering, with a backend that refuses what a test tells it to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/run/stage.hpp"
#include "core/run/weights.hpp"
#include "tests/core/model_fixture.hpp"

namespace calm::graph {
namespace {

using run::Stage;

// The reference backend with some operators taken away.
struct Picky {
  static const calm_backend *inner;
  static std::set<std::string, std::less<>> refused;

  static const calm_backend &backend() {
    inner = &model_test::runtime().plugins().backend("reference");
    static calm_backend table;
    table = *inner;
    table.supports = [](calm_session *session, const calm_program *program, calm_verdict *verdicts,
                        calm_error *error) {
      const calm_status status = inner->supports(session, program, verdicts, error);
      for (std::uint32_t i = 0; status == CALM_OK && i < program->nodes.count; ++i) {
        if (refused.contains(view(record<calm_node>(program->nodes, i).op))) {
          verdicts[i] = {0, "no kernel"};
        }
      }
      return status;
    };
    return table;
  }
};
const calm_backend *Picky::inner = nullptr;
std::set<std::string, std::less<>> Picky::refused;

class Lowering : public testing::Test {
 protected:
  std::unique_ptr<run::Session> open(std::set<std::string, std::less<>> refused) {
    Picky::refused = std::move(refused);
    return std::make_unique<run::Session>(Picky::backend(), "picky", 0,
                                          *model_test::runtime().host().table());
  }
  static std::set<std::string> operators(const Stage &stage) {
    std::set<std::string> ops;
    const calm_program &p = stage.program().program().table();
    for (std::uint32_t i = 0; i < p.nodes.count; ++i) {
      ops.insert(copy(record<calm_node>(p.nodes, i).op));
    }
    return ops;
  }

  struct Result {
    std::vector<float> values;  // loss, then gradients
    std::set<std::string> operators;
  };
  // Loss and gradients of a small model.
  static Result train(run::Session &session) {
    const std::unique_ptr<run::LanguageModel> model = model_test::make_model(model_test::kPico);
    run::Weights host(model->layout());
    host.initialise(3);
    run::Buffer weights(session, host.flat().size_bytes());
    run::Buffer grads(session, host.flat().size_bytes());
    host.write_to(weights);
    run::SlotBuffers shared{};
    run::slot_of(shared, Slot::kWeights) = &weights;
    run::slot_of(shared, Slot::kGrads) = &grads;
    const data::Dataset dataset =
        model_test::make_dataset({model_test::tokens(20, 1), model_test::tokens(9, 2)});
    const data::Batch batch = data::pack(dataset, model_test::all_of(dataset), 2, 64);
    Stage stage(session, model->forward({64, 2, 64}, model_test::next_token(), true), shared);
    stage.write("tokens", batch.tokens);
    stage.write("targets", batch.targets);
    stage.write("offsets", batch.offsets);
    stage.step().set("inv_count", 1.0 / static_cast<double>(batch.counted));
    stage.step().set("grad_scale", 1.0);
    stage.step().set_integer("first", 1);
    stage.run();
    Result result;
    stage.read("loss_sum", result.values);
    host.read_from(grads);
    result.values.insert(result.values.end(), host.flat().begin(), host.flat().end());
    result.operators = operators(stage);
    return result;
  }
};

TEST_F(Lowering, RefusedNodesBecomeSimplerOnesWithTheSameResult) {
  const Result whole = train(*open({}));
  EXPECT_TRUE(whole.operators.contains("gated_silu"));
  const Result lowered = train(*open({"gated_silu", "gated_silu_grad"}));
  EXPECT_FALSE(lowered.operators.contains("gated_silu"));
  EXPECT_TRUE(lowered.operators.contains("silu"));
  const Result twice = train(*open({"gated_silu", "gated_silu_grad", "silu"}));
  EXPECT_FALSE(twice.operators.contains("silu"));
  EXPECT_TRUE(twice.operators.contains("sigmoid"));
  for (const Result &other : {lowered, twice}) {
    ASSERT_EQ(whole.values.size(), other.values.size());
    for (std::size_t i = 0; i < whole.values.size(); ++i) {
      ASSERT_NEAR(whole.values[i], other.values[i], 1e-7F + 1e-4F * std::abs(whole.values[i]))
          << "value " << i;
    }
  }
}

TEST_F(Lowering, ALoweredOutputKeepsItsNameAndPlace) {
  const std::unique_ptr<run::Session> session = open({"sub"});
  ParamLayout layout;
  layout.freeze();
  Graph graph("test", {3, 1, 3}, CALM_F32, layout, model_test::runtime().operators());
  const Value a = graph.input("a", type_of(CALM_F32, {3}));
  const Value b = graph.input("b", type_of(CALM_F32, {3}));
  const Value state = graph.stored("last", Slot::kState, type_of(CALM_F32, {3}));
  const std::vector<Value> difference = graph.emit("sub", 1, std::vector<Value>{a, b}, {});
  graph.output("difference", difference[0]);
  const std::vector<Value> reverse = graph.emit("sub", 1, std::vector<Value>{b, a}, {});
  graph.update(reverse[0], state);
  Stage stage(*session, graph, {});
  EXPECT_FALSE(operators(stage).contains("sub"));
  stage.write("a", std::vector<float>{1, 2, 3});
  stage.write("b", std::vector<float>{5, 5, 5});
  stage.run();
  std::vector<float> out, kept(3);
  stage.read("difference", out);
  EXPECT_EQ(out, (std::vector<float>{-4, -3, -2}));
  stage.state().read(stage.binding(Slot::kState, "last").offset, kept.data(), 12);
  EXPECT_EQ(kept, (std::vector<float>{4, 3, 2}));
}

// An operator of somebody else: y = exp(x) and z = -y, whose lowering uses y inside.
struct Pair {
  static constexpr std::uint32_t kTraits = CALM_OP_PURE;
  static constexpr std::uint32_t kMinIn = 1, kMaxIn = 1, kMaxOut = 2;
  static constexpr const char *kDoc = "exp(x) and its negative";
  static std::vector<calm_type> infer(const Call &call) { return {call.in(0), call.in(0)}; }
  static std::vector<Value> lower(const Builder &builder, const Call &call) {
    const Value y = builder.op("exp", {call.arg(0)});
    return {y, builder.op("neg", {y})};
  }
  static calm_cost cost(const Call &) { return {}; }
};

// One whose lowering computes nothing.
struct Lazy : Pair {
  static std::vector<Value> lower(const Builder &, const Call &call) {
    return {call.arg(0), call.arg(0)};
  }
};

OperatorLookup with_foreign_operators() {
  static const calm_operator pair = make_operator<Pair>(), lazy = make_operator<Lazy>();
  return [known = model_test::runtime().operators()](std::string_view id, std::uint32_t revision) {
    return id == "pair" ? &pair : id == "lazy" ? &lazy : known(id, revision);
  };
}

TEST_F(Lowering, OutputsMayDependOnEachOther) {
  const std::unique_ptr<run::Session> session = open({});
  ParamLayout layout;
  layout.freeze();
  Graph graph("test", {2, 1, 2}, CALM_F32, layout, with_foreign_operators());
  const Value x = graph.input("x", type_of(CALM_F32, {2}));
  const std::vector<Value> outs = graph.emit("pair", 1, std::vector<Value>{x}, {});
  graph.output("y", outs[0]);
  graph.output("z", outs[1]);
  Stage stage(*session, graph, {});
  stage.write("x", std::vector<float>{0, 1});
  stage.run();
  std::vector<float> y, z;
  stage.read("y", y);
  stage.read("z", z);
  EXPECT_FLOAT_EQ(y[1], 2.7182817F);
  EXPECT_EQ(z, (std::vector<float>{-y[0], -y[1]}));
}

TEST_F(Lowering, ThatComputesNothingIsADefectOfTheOperator) {
  const std::unique_ptr<run::Session> session = open({});
  ParamLayout layout;
  layout.freeze();
  Graph graph("test", {2, 1, 2}, CALM_F32, layout, with_foreign_operators());
  const Value x = graph.input("x", type_of(CALM_F32, {2}));
  graph.output("y", graph.emit("lazy", 1, std::vector<Value>{x}, {})[0]);
  try {
    const Stage stage(*session, graph, {});
    FAIL() << "the graph was compiled";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_INTERNAL);
    EXPECT_STREQ(e.what(), "[lazy] its lowering does not compute output 0");
  }
}

TEST_F(Lowering, ANodeNobodyCanRunNamesOperatorPlaceAndBackend) {
  const std::unique_ptr<run::Session> session = open({"matmul"});
  try {
    train(*session);
    FAIL() << "matmul was accepted";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_UNSUPPORTED);
    EXPECT_STREQ(e.what(),
                 "[matmul] blocks.0/mixer/matmul: backend picky: no kernel, and the operator has "
                 "no lowering");
  }
}

}  // namespace
}  // namespace calm::graph
