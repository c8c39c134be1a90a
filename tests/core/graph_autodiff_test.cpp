#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/graph/autodiff.hpp"
#include "core/graph/optimizer.hpp"
#include "core/run/stage.hpp"
#include "tests/core/model_fixture.hpp"

namespace calm::graph {
namespace {

using testing::HasSubstr;

// One parameter w = (1, 2, 3, 4), a frozen one f = (5, 6, 7, 8), and a loss over them.
class Autodiff : public testing::Test {
 protected:
  Value weight(std::string_view name, bool frozen = false) {
    calm_param p{};
    p.size = sizeof p;
    p.decay = 1;
    p.frozen = frozen ? 1 : 0;
    p.name = str(name);
    p.type = type_of(CALM_F32, {4});
    return graph_.param(p);
  }
  Value op(std::string_view name, std::vector<Value> ins, std::vector<calm_value> attrs = {}) {
    return graph_.emit(name, 1, ins, attrs).front();
  }
  Value one() {
    const float value = 1.0F;
    return graph_.constant(type_of(CALM_F32, {}), &value);
  }

  // What the program leaves in slot Grads for parameter w.
  std::vector<float> gradient(Value loss) {
    layout_.freeze();
    accumulate_gradients(graph_, differentiate(graph_, loss, one()));
    const std::unique_ptr<run::Session> session = model_test::reference();
    const std::uint64_t bytes = layout_.elements() * sizeof(float);
    run::Buffer weights(*session, bytes), grads(*session, bytes);
    std::vector<float> flat(layout_.elements(), 0.0F);
    for (std::size_t i = 0; i < layout_.params().size(); ++i) {
      for (std::size_t k = 0; k < 4; ++k) {
        flat[layout_.params()[i].offset + k] = static_cast<float>(4 * i + k + 1);
      }
    }
    weights.write(0, flat.data(), bytes);
    run::SlotBuffers shared{};
    run::slot_of(shared, Slot::kWeights) = &weights;
    run::slot_of(shared, Slot::kGrads) = &grads;
    run::Stage stage(*session, graph_, shared);
    stage.step().set_integer("first", 1);
    stage.run();
    std::vector<float> result(4);
    grads.read(layout_.params()[0].offset * sizeof(float), result.data(), 4 * sizeof(float));
    return result;
  }

  ParamLayout layout_;
  Graph graph_{"test", {4, 1, 4}, CALM_F32, layout_, model_test::runtime().operators()};
};

TEST_F(Autodiff, TwoUsesOfAParameterAddUp) {
  const Value w = weight("w");
  // sum(w²) + sum(w): 2 w + 1
  const Value loss = op("add", {op("sum", {op("mul", {w, w})}), op("sum", {w})});
  EXPECT_EQ(gradient(loss), (std::vector<float>{3, 5, 7, 9}));
}

TEST_F(Autodiff, AValueReadTwiceCollectsBothGradients) {
  const Value twice = op("add", {weight("w"), weight("w")});
  EXPECT_EQ(gradient(op("sum", {op("mul", {twice, twice})})),  // 4 w² gives 8 w
            (std::vector<float>{8, 16, 24, 32}));
}

TEST_F(Autodiff, AParameterTheLossDoesNotReachGetsZeros) {
  weight("w");
  const Value v = weight("v");
  EXPECT_EQ(gradient(op("sum", {v})), (std::vector<float>{0, 0, 0, 0}));
}

TEST_F(Autodiff, FrozenParametersGetNoGradientAndNoNodes) {
  const Value w = weight("w");
  const Value f = weight("f", true);
  layout_.freeze();
  const Value loss = op("sum", {op("mul", {op("exp", {f}), w})});
  const std::size_t forward = graph_.nodes().size();
  const std::vector<Value> gradients = differentiate(graph_, loss, one());
  EXPECT_TRUE(gradients[0]);
  EXPECT_FALSE(gradients[1]);
  graph_.output("grad", gradients[0]);
  graph_.eliminate_dead_code();
  for (std::size_t i = forward; i < graph_.nodes().size(); ++i) {
    EXPECT_THAT(graph_.nodes()[i].origin, testing::Not(HasSubstr("exp")));
  }
}

TEST_F(Autodiff, BackwardNodesSayWhereTheyComeFrom) {
  graph_.push_scope("blocks.0");
  const Value loss = op("sum", {op("silu", {weight("w")})});
  graph_.pop_scope();
  layout_.freeze();
  differentiate(graph_, loss, one());
  EXPECT_EQ(graph_.nodes().back().op, "silu_grad");
  EXPECT_EQ(graph_.nodes().back().origin, "grad/blocks.0/silu");
  EXPECT_EQ(graph_.nodes().back().phase, CALM_PHASE_BACKWARD);
}

TEST_F(Autodiff, AnOperatorWithoutGradientIsNamed) {
  const Value w = weight("w");
  layout_.freeze();
  const Value loss = op("sum", {op("silu_grad", {w, w})});
  try {
    differentiate(graph_, loss, one());
    FAIL() << "silu_grad was differentiated";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_UNSUPPORTED);
    EXPECT_STREQ(e.what(), "[silu_grad] silu_grad: has no gradient");
  }
}

}  // namespace
}  // namespace calm::graph
