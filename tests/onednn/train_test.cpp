// A training step: the same bits however many threads there are, and the reference's numbers.
#include "tests/onednn/machine.hpp"

namespace calm::onednn_test {
namespace {

using Flat = std::vector<float>;

struct Trained {
  Flat weights;
  std::vector<double> losses;
};

/// `updates` updates of AdamW, each of `micro` micro-batches.
Trained train(run::Session &session, int updates, int micro = 1, bool recompute = false) {
  const auto model = model_test::make_model(model_test::kNano);
  graph::OptimizerOptions options;
  options.recompute = recompute;
  train::Stages stages(session, *model, model_test::next_token(), options);
  run::Weights weights = weights_of(*model, 3);
  stages.upload(weights);
  Trained trained;
  for (int update = 0; update < updates; ++update) {
    for (int i = 0; i < micro; ++i) {
      train::Stages::MicroBatch step;
      step.first = i == 0;
      step.update = i + 1 == micro;
      step.grad_scale = 1.0 / micro;
      step.lr = 1e-3;
      step.t = static_cast<std::uint64_t>(update) + 1;
      stages.train(many_rows(static_cast<std::uint32_t>(100 * update + i)), step);
    }
  }
  for (const train::Stages::Metrics &metrics : stages.read_metrics()) {
    trained.losses.push_back(metrics.loss_sum);
  }
  stages.download(weights);
  trained.weights.assign(weights.flat().begin(), weights.flat().end());
  return trained;
}

void expect_near(const Trained &got, const Trained &want) {
  ASSERT_EQ(got.losses.size(), want.losses.size());
  for (std::size_t i = 0; i < want.losses.size(); ++i) {
    EXPECT_NEAR(got.losses[i], want.losses[i], 1e-5 * want.losses[i]);
  }
  // A twentieth of the length of a step: the first steps of AdamW follow the signs of gradients,
  // those of almost nothing too.
  double worst = 0;
  for (std::size_t i = 0; i < want.weights.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(got.weights[i]) -
                                     static_cast<double>(want.weights[i])));
  }
  EXPECT_LT(worst, 5e-5);
}

TEST(OnednnTraining, WeightsHaveTheSameBitsForEveryNumberOfThreads) {
  const Trained one = train(Machine(1).session(), 3);
  for (const std::uint32_t threads : {2U, 3U, 4U, 80U}) {
    const Trained more = train(Machine(threads).session(), 3);
    EXPECT_EQ(more.weights, one.weights) << threads;
    EXPECT_EQ(more.losses, one.losses) << threads;
  }
}

TEST(OnednnTraining, TenRunsEndWithTheSameBits) {
  const Trained first = train(Machine(4).session(), 2, 2);
  for (int i = 1; i < 10; ++i) {
    ASSERT_EQ(train(Machine(4).session(), 2, 2).weights, first.weights) << i;
  }
}

TEST(OnednnTraining, AccumulationGoesWhereTheReferenceGoes) {
  expect_near(train(Machine().session(), 2, 3), train(*model_test::reference(), 2, 3));
}

TEST(OnednnTraining, RecomputingActivationsGoesWhereTheReferenceGoes) {
  expect_near(train(Machine().session(), 2, 2, true), train(*model_test::reference(), 2, 2));
}

TEST(OnednnTraining, KeepsFullPrecisionWhateverInferenceUses) {
  const Trained full = train(Machine().session(), 2, 2);
  EXPECT_EQ(train(Machine(2, "weights=bf16").session(), 2, 2).weights, full.weights);
  EXPECT_EQ(train(Machine(2, "weights=int8").session(), 2, 2).weights, full.weights);
}

}  // namespace
}  // namespace calm::onednn_test
