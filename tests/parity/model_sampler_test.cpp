// The sample operator against the reference's distributions (spec D.1, D.2).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/graph/graph.hpp"
#include "core/run/stage.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/parity/model_golden.hpp"

namespace calm::golden {
namespace {

CALM_PARITY_ON_EVERY_BACKEND(ModelSampler);

struct Sampled {
  std::vector<std::int32_t> ids;
  std::vector<float> log_probs;
};

// One row of logits sampled with each of `draws`.
Sampled sample(run::Session &session, const nlohmann::json &c, const std::vector<float> &draws) {
  const auto logits = c.at("logits").get<std::vector<float>>();
  const auto rows = static_cast<std::int64_t>(draws.size());
  graph::ParamLayout layout;
  layout.freeze();
  graph::Graph graph("sample", {rows, rows, 1}, CALM_F32, layout,
                     model_test::runtime().operators());
  const Value table =
      graph.input("logits", type_of(CALM_F32, {rows, static_cast<std::int64_t>(logits.size())}));
  const Value draw = graph.input("draw", type_of(CALM_F32, {rows}));
  const Value ins[] = {table,
                       graph.step_value("temperature", CALM_F32),
                       graph.step_value("top_k", CALM_I32),
                       graph.step_value("top_p", CALM_F32),
                       graph.step_value("min_p", CALM_F32),
                       graph.step_value("seed", CALM_I64),
                       graph.step_value("micro_step", CALM_I32),
                       draw};
  const std::vector<Value> outs = graph.emit("sample", 1, ins, {});
  graph.output("ids", outs[0]);
  graph.output("log_prob", outs[1]);
  run::Stage stage(session, std::move(graph), {});
  std::vector<float> tiled;
  for (std::size_t i = 0; i < draws.size(); ++i) {
    tiled.insert(tiled.end(), logits.begin(), logits.end());
  }
  stage.write("logits", tiled);
  stage.write("draw", draws);
  stage.step().set("temperature", c.at("temperature"));
  stage.step().set("top_p", c.at("top_p"));
  stage.step().set("min_p", c.at("min_p"));
  stage.step().set_integer("top_k", c.at("top_k"));
  stage.run();
  Sampled result;
  stage.read("ids", result.ids);
  stage.read("log_prob", result.log_probs);
  return result;
}

TEST_P(ModelSampler, GreedyChoicesEqualTheReference) {
  for (const nlohmann::json &c : json("sampler.json", "cases")) {
    if (!c.at("greedy").get<bool>()) {
      continue;
    }
    const Sampled sampled = sample(session(), c, {0.0F, 0.5F, 0.999F});
    for (std::size_t i = 0; i < sampled.ids.size(); ++i) {
      EXPECT_EQ(sampled.ids[i], c.at("token").get<std::int32_t>()) << c.dump();
      const auto score = c.at("score_of_argmax").get<double>();
      EXPECT_NEAR(static_cast<double>(sampled.log_probs[i]), score, 1e-6 + 1e-5 * std::abs(score));
    }
  }
}

// Every kept token owns the interval of the running sum that its probability says, in id order.
TEST_P(ModelSampler, DrawsWalkTheReferenceDistribution) {
  constexpr double kEdge = 4e-6;  // float32 sums and rtol 1e-5 of the probabilities
  for (const nlohmann::json &c : json("sampler.json", "cases")) {
    if (c.at("greedy").get<bool>()) {
      continue;
    }
    const auto kept = c.at("kept").get<std::vector<std::int32_t>>();
    const auto probs = c.at("probs").get<std::vector<double>>();
    const auto logits = c.at("logits").get<std::vector<float>>();
    std::vector<float> draws;
    std::vector<std::int32_t> want;
    double sum = 0;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      const double next = sum + probs[i];
      if (probs[i] > 4 * kEdge) {
        for (const double u : {sum + kEdge, (sum + next) / 2, next - kEdge}) {
          draws.push_back(static_cast<float>(u));
          want.push_back(kept[i]);
        }
      }
      sum = next;
    }
    const Sampled sampled = sample(session(), c, draws);
    EXPECT_EQ(sampled.ids, want) << c.dump();
    const auto best = std::max_element(logits.begin(), logits.end());
    const auto argmax = static_cast<std::int32_t>(best - logits.begin());
    const auto score = c.at("score_of_argmax").get<double>();
    for (std::size_t i = 0; i < want.size(); ++i) {
      if (sampled.ids[i] == argmax) {
        EXPECT_NEAR(static_cast<double>(sampled.log_probs[i]), score,
                    1e-6 + 1e-5 * std::abs(score));
      }
    }
  }
}

}  // namespace
}  // namespace calm::golden
