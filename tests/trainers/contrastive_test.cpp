#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/train/stages.hpp"
#include "tests/core/model_fixture.hpp"

namespace calm {
namespace {

using model_test::kOdd;
using model_test::real;
using model_test::text;
using model_test::tokens;
using testing::HasSubstr;

const calm_trainer &trainer() { return model_test::runtime().plugins().trainer("contrastive"); }

run::Values options(const std::vector<OwnedValue> &given = {}) {
  return run::Values::resolve(trainer().options, given, "training");
}

// Sequences as one batch whose loss is a mean over its pairs.
data::Batch batch_of(const std::vector<std::vector<std::int32_t>> &sequences) {
  const data::Dataset dataset = model_test::make_dataset(sequences);
  data::Batch batch = data::pack_inputs(dataset, model_test::all_of(dataset),
                                        static_cast<std::int64_t>(sequences.size()), kOdd.l_max);
  batch.counted = static_cast<std::int64_t>(sequences.size() / 2);
  return batch;
}

// A small model under the objective.
struct Fixture {
  std::unique_ptr<run::Session> session = model_test::reference();
  std::unique_ptr<run::LanguageModel> model;
  run::Values chosen;
  run::Weights weights;
  train::Stages stages;

  explicit Fixture(const std::vector<OwnedValue> &given = {}, calm_dtype dtype = CALM_F32)
      : model(model_test::make_model(kOdd, dtype)),
        chosen(options(given)),
        weights(model->layout()),
        stages(*session, *model, {&trainer(), &chosen}, {}) {
    weights.initialise(5);
    for (std::uint32_t i = 0; i < model->layout().params().size(); ++i) {
      if (model->layout().param(i).init == CALM_INIT_NORMAL) {
        for (float &w : weights.of(i)) {
          w *= 8;  // so that every parameter matters
        }
      }
    }
    stages.upload(weights);
  }
};

TEST(Contrastive, HasTheDefaultsOfItsLoop) {
  const run::Values defaults = options();
  EXPECT_EQ(defaults.integer("epochs"), 5);
  EXPECT_EQ(defaults.integer("batch_size"), 16);
  EXPECT_EQ(defaults.real("learning_rate"), 1e-4);
  EXPECT_EQ(defaults.integer("warmup_steps"), 0);
  EXPECT_EQ(defaults.real("temperature"), 0.07);
  EXPECT_EQ(defaults.at("pool_mode").text, "mean");
}

TEST(Contrastive, HasTheScheduleOfTheOtherObjective) {
  const calm_trainer &other = model_test::runtime().plugins().trainer("next_token");
  const std::vector<calm_value> some = {value("learning_rate", 1e-3), value("min_lr", 1e-6),
                                        value("warmup_steps", 10)};
  for (const std::uint64_t update : {0u, 3u, 10u, 35u, 200u}) {
    double here = -1, there = -2;
    call(trainer().learning_rate, some.data(), 3u, update, 110u, &here);
    call(other.learning_rate, some.data(), 3u, update, 110u, &there);
    EXPECT_EQ(here, there) << update;
  }
}

TEST(Contrastive, OfOnePairLossAndGradientAreZero) {
  Fixture f;
  const train::Stages::Forward got =
      f.stages.forward(batch_of({tokens(7, 1), tokens(20, 2)}), true);
  EXPECT_EQ(got.loss_sum, 0.0);
  run::Weights gradients(f.model->layout());
  gradients.read_from(f.stages.grads());
  for (const float g : gradients.flat()) {
    ASSERT_EQ(g, 0.0F);
  }
}

TEST(Contrastive, EqualPairsAreTakenForEachOther) {
  Fixture f;
  // Three times the same text: every score is equal, so each cross-entropy is ln 3.
  const std::vector<std::int32_t> same = tokens(9, 1);
  const double sum = f.stages.eval(batch_of({same, same, same, same, same, same}));
  EXPECT_NEAR(sum, 3 * std::log(3.0), 1e-5);
}

TEST(Contrastive, GradientsOfEveryParameterEqualFiniteDifferences) {
  for (const char *pool : {"mean", "last"}) {
    Fixture f({real("temperature", 0.5), text("pool_mode", pool)}, CALM_F64);
    const data::Batch batch = batch_of(
        {tokens(2, 1), tokens(14, 2), tokens(1, 3), tokens(50, 4), tokens(33, 5), tokens(3, 6)});
    f.stages.forward(batch, true);
    const auto loss_with = [&](std::uint64_t at, double weight) {
      f.stages.weights().write(at * sizeof(double), &weight, sizeof weight);
      return f.stages.eval(batch) / static_cast<double>(batch.counted);
    };
    for (const graph::Param &param : f.model->layout().params()) {
      const auto n = static_cast<std::uint64_t>(elements(param.type));
      std::vector<std::uint64_t> picks = {0, n / 3, n / 2 + 1, n - 1};
      if (param.name == "token_emb.weight") {
        picks = {static_cast<std::uint64_t>(batch.tokens[5]) * 40 + 7, 319 * 40 + 3};
      }
      for (const std::uint64_t pick : picks) {
        const std::uint64_t at = param.offset + pick;
        double gradient = 0;
        f.stages.grads().read(at * sizeof(double), &gradient, sizeof gradient);
        const auto original = static_cast<double>(f.weights.flat()[at]);
        constexpr double kStep = 1e-5;
        const double slope =
            (loss_with(at, original + kStep) - loss_with(at, original - kStep)) / (2 * kStep);
        loss_with(at, original);
        // Rounding of the loss (about 1) over the step, and the third derivative.
        EXPECT_NEAR(gradient, slope, 2e-9 + 1e-6 * std::abs(slope)) << param.name << " " << pick;
      }
    }
  }
}

TEST(Contrastive, ComputesNoLogits) {
  const Fixture f;
  const graph::Bucket bucket{64, 4, 50};
  graph::OptimizerOptions optimizer;
  graph::Graph graph = f.model->train(bucket, {&trainer(), &f.chosen}, optimizer, true);
  graph.eliminate_dead_code();
  for (const graph::Node &node : graph.nodes()) {
    for (const std::uint32_t out : node.outs) {
      if (out != CALM_NONE && graph.tensors()[out].type.rank == 2) {
        const calm_type &type = graph.tensors()[out].type;
        EXPECT_FALSE(type.shape[0] == bucket.tokens && type.shape[1] == run::LanguageModel::kVocab)
            << node.op;
      }
    }
  }
}

void expect_refused(const run::Values &chosen, std::int64_t sequences, const std::string &message) {
  const std::unique_ptr<run::LanguageModel> model = model_test::make_model(kOdd);
  try {
    model->eval({64, sequences, 50}, {&trainer(), &chosen});
    FAIL() << "expected an error";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_INVALID_ARGUMENT);
    EXPECT_THAT(e.what(), HasSubstr(message));
  }
}

TEST(Contrastive, AnOddNumberOfSequencesIsRefused) {
  expect_refused(options(), 3, "expected as many positives as queries, found 3 sequences");
}

TEST(Contrastive, AnUnknownPoolModeIsRefused) {
  expect_refused(options({text("pool_mode", "max")}), 4,
                 "training.pool_mode: expected mean or last, found max");
}

TEST(Contrastive, ATemperatureOfZeroIsRefused) {
  EXPECT_THROW(options({real("temperature", 0)}), Error);
}

}  // namespace
}  // namespace calm
