#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <calm/cpp/value.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "core/plugin/registry.hpp"

namespace calm {
namespace {

const calm_trainer &trainer() {
  static PluginRegistry *const registry = [] {
    SearchOptions search;
    search.plugin_path = {CALM_TEST_PLUGINS};
    return new PluginRegistry(search);  // plugins are never unloaded
  }();
  return registry->trainer("next_token");
}

double rate(std::uint64_t update, std::uint64_t total, std::int64_t warmup) {
  const std::vector<calm_value> options = {value("learning_rate", 1e-3), value("min_lr", 1e-6),
                                           value("warmup_steps", warmup)};
  double out = -1;
  call(trainer().learning_rate, options.data(), static_cast<std::uint32_t>(options.size()), update,
       total, &out);
  return out;
}

TEST(NextToken, WithoutWarmUpTheRateIsConstant) {
  for (const std::uint64_t update : {0u, 1u, 50u, 100u, 1000u}) {
    EXPECT_EQ(rate(update, 100, 0), 1e-3);
  }
}

TEST(NextToken, WarmUpIsLinearFromZero) {
  EXPECT_EQ(rate(0, 100, 10), 0.0);
  EXPECT_DOUBLE_EQ(rate(1, 100, 10), 1e-4);
  EXPECT_DOUBLE_EQ(rate(9, 100, 10), 9e-4);
}

TEST(NextToken, ThenTheRateFollowsACosineToItsFloorAndStaysThere) {
  EXPECT_DOUBLE_EQ(rate(10, 110, 10), 1e-3);
  EXPECT_DOUBLE_EQ(rate(60, 110, 10), 1e-6 + 0.5 * (1e-3 - 1e-6));
  EXPECT_DOUBLE_EQ(rate(35, 110, 10), 1e-6 + 0.5 * (1e-3 - 1e-6) * (1 + std::sqrt(0.5)));
  EXPECT_DOUBLE_EQ(rate(110, 110, 10), 1e-6);
  EXPECT_DOUBLE_EQ(rate(5000, 110, 10), 1e-6);
}

TEST(NextToken, AWarmUpLongerThanThePlanLeavesOneStepOfDecay) {
  EXPECT_DOUBLE_EQ(rate(5, 3, 10), 5e-4);
  EXPECT_DOUBLE_EQ(rate(10, 3, 10), 1e-3);
  EXPECT_DOUBLE_EQ(rate(11, 3, 10), 1e-6);
}

TEST(NextToken, RequiresEpochsBatchSizeAndLearningRate) {
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < trainer().options.count; ++i) {
    const calm_value_spec &spec = record<calm_value_spec>(trainer().options, i);
    if (spec.required != 0) {
      names.push_back(copy(spec.name));
    }
  }
  EXPECT_THAT(names, testing::ElementsAre("epochs", "batch_size", "learning_rate"));
}

TEST(NextToken, RefusesAModelWithoutLogits) {
  calm_builder builder{};
  calm_trainer_io io{};
  io.size = sizeof io;
  io.logits = CALM_NONE;
  calm_value_id loss = CALM_NONE;
  calm_error error{};
  EXPECT_EQ(trainer().build(&builder, &io, &loss, &error), CALM_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, testing::HasSubstr("expected a model with logits"));
}

}  // namespace
}  // namespace calm
