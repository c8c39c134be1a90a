// How a session is opened, and what it does when memory is short.
#include <gmock/gmock.h>

#include <atomic>
#include <string>

#include <calm/cpp/error.hpp>

#include "tests/onednn/machine.hpp"

namespace calm::onednn_test {
namespace {

using graph::Slot;

std::string refusal(std::string_view options) {
  try {
    Machine machine(1, options);
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_INVALID_ARGUMENT);
    return e.what();
  }
  return "";
}

TEST(OnednnSession, RefusesOptionsItDoesNotKnow) {
  for (const char *options : {"speed=3", "simd=base speed=3"}) {
    EXPECT_THAT(refusal(options), testing::StartsWith("the onednn backend has no option \"speed\", "
                                                      "expected simd, weights, "));
  }
}

TEST(OnednnSession, RefusesValuesItDoesNotKnow) {
  EXPECT_EQ(refusal("simd=avx10"), "option simd: expected avx512, avx2 or base, found \"avx10\"");
  EXPECT_EQ(refusal("simd="), "option simd: expected avx512, avx2 or base, found \"\"");
  EXPECT_EQ(refusal("simd=2"), "option simd: expected a word");
  EXPECT_EQ(refusal("weights=fp16"), "option weights: expected fp32, bf16 or int8, found \"fp16\"");
  EXPECT_EQ(refusal("weights=true"), "option weights: expected a word");
}

TEST(OnednnSession, OpensEveryInstructionSetOfTheProcessorAndNamesThoseItLacks) {
  bool lacking = false;
  for (const std::string level : {"base", "avx2", "avx512"}) {
    const std::string why = refusal("simd=" + level);
    if (lacking || !why.empty()) {
      EXPECT_THAT(why, testing::StartsWith("option simd: this processor has no " + level));
      lacking = true;
    }
    EXPECT_FALSE(lacking && level == "base");
  }
}

/// Allocations until one fails.
std::atomic<int> allocations_left{1 << 30};

TEST(OnednnSession, RunsOnWhicheverAllocationOfALargerProgramFails) {
  ThreadPool pool(2);
  const Host whole(pool);
  static void *(*allocate)(void *, std::uint64_t, std::uint64_t);
  calm_host host = *whole.table();
  allocate = host.alloc;
  host.alloc = [](void *self, std::uint64_t bytes, std::uint64_t align) -> void * {
    return --allocations_left == 0 ? nullptr : allocate(self, bytes, align);
  };
  run::Session session(model_test::runtime().plugins().backend("onednn"), "onednn", 0, host);
  const auto model = model_test::make_model(model_test::kNano);
  run::Buffer weights(session, model->layout().elements() * sizeof(float));
  weights_of(*model, 1).write_to(weights);
  run::SlotBuffers shared{};
  run::slot_of(shared, Slot::kWeights) = &weights;
  const auto stage_of = [&](const data::Batch &batch) {
    const auto rows = static_cast<std::int64_t>(batch.tokens.size());
    const auto sequences = static_cast<std::int64_t>(batch.offsets.size()) - 1;
    auto stage = std::make_unique<run::Stage>(
        session, model->eval({rows, sequences, rows}, model_test::next_token()), shared);
    stage->write("tokens", batch.tokens);
    stage->write("targets", batch.targets);
    stage->write("offsets", batch.offsets);
    return stage;
  };
  const auto loss_of = [](run::Stage &stage) {
    stage.run();
    std::vector<float> loss;
    stage.read("loss_sum", loss);
    return loss;
  };
  const auto small = stage_of(batch_of({9, 30}));
  const std::vector<float> first = loss_of(*small);
  int failures = 0;
  for (bool compiled = false; !compiled; ++failures) {
    allocations_left = failures + 1;
    try {
      stage_of(many_rows());
      compiled = true;
    } catch (const Error &e) {
      EXPECT_EQ(e.status(), CALM_OUT_OF_MEMORY) << e.what();
    }
    allocations_left = 1 << 30;
    ASSERT_EQ(loss_of(*small), first) << failures;
  }
  EXPECT_GT(failures, 3);
}

}  // namespace
}  // namespace calm::onednn_test
