#include "core/run/session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/run/stage.hpp"
#include "tests/core/model_fixture.hpp"

namespace calm::run {
namespace {

using graph::Graph;
using graph::Slot;
using testing::HasSubstr;

Error open_error(std::string_view spec) {
  try {
    model_test::runtime().open(spec, CALM_WORKLOAD_TRAIN);
  } catch (const Error &e) {
    return e;
  }
  return {CALM_OK, "it was opened"};
}

TEST(OpenSession, TakesABackendADeviceOrTheBestOne) {
  EXPECT_EQ(model_test::runtime().open("reference", CALM_WORKLOAD_TRAIN)->name(), "reference");
  EXPECT_EQ(model_test::runtime().open("reference:0", CALM_WORKLOAD_DECODE)->name(), "reference");
  EXPECT_FALSE(model_test::runtime().open("auto", CALM_WORKLOAD_BATCH)->name().empty());
}

TEST(OpenSession, NeverTakesAnotherBackendThanTheOneAskedFor) {
  EXPECT_EQ(open_error("quantum").status(), CALM_UNAVAILABLE);
  EXPECT_THAT(open_error("quantum").what(), HasSubstr("quantum"));
  EXPECT_EQ(open_error("reference:7").status(), CALM_UNAVAILABLE);
  EXPECT_EQ(open_error("reference:x").status(), CALM_INVALID_ARGUMENT);
  EXPECT_EQ(open_error("reference:").status(), CALM_INVALID_ARGUMENT);
}

TEST(OpenSession, PassesOptionsOnToTheBackend) {
  const BackendOptions options = parse_backend_options("speed=3 mode=fast", "--test");
  try {
    model_test::runtime().open("reference", CALM_WORKLOAD_TRAIN, options);
    FAIL() << "it was opened";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_INVALID_ARGUMENT);
    EXPECT_STREQ(e.what(), "the reference backend has no option \"speed\"");
  }
}

TEST(BackendOptions, AreWhatTheyLookLike) {
  const BackendOptions options =
      parse_backend_options(" a=3  b=-2.5 c=true d=false\te=avx2 f= g=1x h=x=y ", "--test");
  ASSERT_EQ(options.size(), 8u);
  EXPECT_EQ(options[0].type, CALM_VALUE_I64);
  EXPECT_EQ(options[0].i64, 3);
  EXPECT_EQ(options[1].type, CALM_VALUE_F64);
  EXPECT_EQ(options[1].f64, -2.5);
  EXPECT_EQ(options[2].type, CALM_VALUE_BOOL);
  EXPECT_EQ(options[2].i64, 1);
  EXPECT_EQ(options[3].i64, 0);
  for (std::size_t i = 4; i < 8; ++i) {
    EXPECT_EQ(options[i].type, CALM_VALUE_STR);
  }
  EXPECT_EQ(options[4].text, "avx2");
  EXPECT_EQ(options[5].text, "");
  EXPECT_EQ(options[6].text, "1x");
  EXPECT_EQ(options[7].text, "x=y");
}

TEST(BackendOptions, OfOneNameTheLastCounts) {
  const BackendOptions options = parse_backend_options("a=1 b=2 a=3", "--test");
  ASSERT_EQ(options.size(), 2u);
  EXPECT_EQ(options[1].name, "a");
  EXPECT_EQ(options[1].i64, 3);
}

TEST(Buffer, IsZeroedCopiedAndMoved) {
  const std::unique_ptr<Session> session = model_test::reference();
  Buffer a(*session, 64);
  std::vector<float> values(16, -1.0F);
  a.read(0, values.data(), 64);
  EXPECT_EQ(values, std::vector<float>(16, 0.0F));
  const float seven = 7.0F;
  a.write(8, &seven, 4);
  Buffer b(*session, 32);
  b.copy_from(4, a, 8, 4);
  float back = 0;
  b.read(4, &back, 4);
  EXPECT_EQ(back, 7.0F);
  Buffer c(std::move(b));
  EXPECT_FALSE(b);  // NOLINT(bugprone-use-after-move): empty after a move, which is promised
  EXPECT_EQ(c.bytes(), 32u);
  c = std::move(a);
  c.read(8, &back, 4);
  EXPECT_EQ(back, 7.0F);
}

// x -> exp(exp(x)) with room for the value between.
Graph twice(graph::ParamLayout &layout, std::int64_t n) {
  Graph graph("twice", {n, 1, n}, CALM_F32, layout, model_test::runtime().operators());
  const Value x = graph.input("x", type_of(CALM_F32, {n}));
  const Value y = graph.emit("exp", 1, std::vector<Value>{x}, {})[0];
  graph.output("y", graph.emit("exp", 1, std::vector<Value>{y}, {})[0]);
  return graph;
}

TEST(Session, ProgramsStayBoundWhenTheWorkspaceGrows) {
  const std::unique_ptr<Session> session = model_test::reference();
  graph::ParamLayout layout;
  layout.freeze();
  Stage small(*session, twice(layout, 4), {});
  small.write("x", std::vector<float>{0, 0, 0, 0});
  Stage large(*session, twice(layout, 100000), {});
  large.write("x", std::vector<float>(100000, 0.0F));
  for (Stage *stage : {&small, &large, &small}) {
    stage->run();
    std::vector<float> y;
    stage->read("y", y);
    EXPECT_FLOAT_EQ(y.front(), 2.7182817F);
    EXPECT_FLOAT_EQ(y.back(), 2.7182817F);
  }
  EXPECT_THAT(small.program().info(), HasSubstr("exp"));
}

TEST(Session, RefusesBuffersThatAreMissingOrTooSmall) {
  const std::unique_ptr<Session> session = model_test::reference();
  graph::ParamLayout layout;
  layout.freeze();
  Buffer input(*session, 8);
  SlotBuffers buffers{};
  slot_of(buffers, Slot::kInput) = &input;
  try {
    session->compile(session->plan(twice(layout, 4)), buffers);
    FAIL() << "it was bound";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_INTERNAL);
    EXPECT_STREQ(e.what(), "program twice: slot input needs 256 bytes");
  }
}

TEST(Stage, RefusesInputsOfAnotherSizeOrName) {
  const std::unique_ptr<Session> session = model_test::reference();
  graph::ParamLayout layout;
  layout.freeze();
  Stage stage(*session, twice(layout, 4), {});
  EXPECT_THROW(stage.write("x", std::vector<float>(3, 0.0F)), Error);
  EXPECT_THROW(stage.write("z", std::vector<float>(4, 0.0F)), Error);
}

TEST(StepBlock, ConvertsToTheDeclaredTypes) {
  graph::ParamLayout layout;
  layout.freeze();
  Graph graph("steps", {1, 1, 1}, CALM_F32, layout, model_test::runtime().operators());
  graph.step_value("rate", CALM_F32);
  graph.step_value("seed", CALM_I64);
  graph.step_value("row", CALM_I32);
  const graph::Program program(graph);
  StepBlock block(program);
  block.set("rate", 0.1);
  block.set_integer("seed", std::int64_t{1} << 40);
  block.set_integer("row", -3);
  block.set("nobody asks for this", 1.0);
  const auto at = [&](std::size_t index, auto value) {
    std::memcpy(&value, block.bytes().data() + program.step_values()[index].offset, sizeof value);
    return value;
  };
  EXPECT_EQ(at(0, 0.0F), 0.1F);
  EXPECT_EQ(at(1, std::int64_t{0}), std::int64_t{1} << 40);
  EXPECT_EQ(at(2, std::int32_t{0}), -3);
  // By place, for loops.
  const StepBlock::Place row = block.place("row");
  block.set_integer(row, 7);
  EXPECT_EQ(at(2, std::int32_t{0}), 7);
  EXPECT_EQ(block.place("nobody asks for this"), nullptr);
  block.set(block.place("nobody asks for this"), 1.0);
  EXPECT_THROW(block.set("row", 1.0), Error);
  EXPECT_THROW(block.set_integer("rate", 1), Error);
}

}  // namespace
}  // namespace calm::run
