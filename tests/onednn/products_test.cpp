// Products of matrices by oneDNN, in fp32 and in bf16, in place of the backend's own.
#include <string>

#include <calm/cpp/error.hpp>

#include "tests/onednn/machine.hpp"

namespace calm::onednn_test {
namespace {

struct Trained {
  std::vector<float> weights;
  double loss = 0;
};

Trained train(std::string_view options, std::uint32_t threads = 2) {
  Machine machine(threads, options);
  const auto model = model_test::make_model(model_test::kNano);
  train::Stages stages(machine.session(), *model, model_test::next_token(), {});
  run::Weights weights = weights_of(*model, 3);
  stages.upload(weights);
  for (std::uint64_t t = 1; t <= 2; ++t) {
    train::Stages::MicroBatch step;
    step.lr = 1e-3;
    step.t = t;
    stages.train(many_rows(static_cast<std::uint32_t>(t)), step);
  }
  Trained trained;
  for (const train::Stages::Metrics &metrics : stages.read_metrics()) {
    trained.loss += metrics.loss_sum;
  }
  stages.download(weights);
  trained.weights.assign(weights.flat().begin(), weights.flat().end());
  return trained;
}

/// Why these options are refused; nothing when they are not.
std::string refusal(std::string_view options, calm_status expected) {
  try {
    const Machine machine(1, options);
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), expected) << e.what();
    return e.what();
  }
  return "";
}

TEST(OnednnProducts, AreRefusedWithTheWordsThereAre) {
  EXPECT_EQ(refusal("products=mkl", CALM_INVALID_ARGUMENT),
            "option products: expected own or onednn, found \"mkl\"");
  EXPECT_EQ(refusal("precision=fp16", CALM_INVALID_ARGUMENT),
            "option precision: expected fp32 or bf16, found \"fp16\"");
  EXPECT_EQ(refusal("products=true", CALM_INVALID_ARGUMENT), "option products: expected a word");
}

TEST(OnednnProducts, TrainAsOurOwnDo) {
  const Trained own = train("products=own");
  const Trained onednn = train("products=onednn");
  EXPECT_NEAR(onednn.loss, own.loss, 1e-5 * own.loss);
  for (std::size_t i = 0; i < own.weights.size(); ++i) {
    ASSERT_NEAR(onednn.weights[i], own.weights[i], 5e-5) << i;
  }
}

TEST(OnednnProducts, HaveTheSameBitsForEveryNumberOfThreads) {
  const Trained one = train("products=onednn", 1);
  for (const std::uint32_t threads : {2U, 4U}) {
    EXPECT_EQ(train("products=onednn", threads).weights, one.weights) << threads;
  }
}

TEST(OnednnProducts, OfBf16AreNearFullPrecisionWithTheSameBitsForEveryNumberOfThreads) {
  if (const std::string why = refusal("precision=bf16", CALM_UNAVAILABLE); !why.empty()) {
    GTEST_SKIP() << why;
  }
  const Trained full = train("");
  const Trained one = train("precision=bf16", 1);
  EXPECT_NE(one.weights, full.weights);
  EXPECT_NEAR(one.loss, full.loss, 0.01 * full.loss);
  for (const std::uint32_t threads : {2U, 4U}) {
    EXPECT_EQ(train("precision=bf16", threads).weights, one.weights) << threads;
  }
}

}  // namespace
}  // namespace calm::onednn_test
