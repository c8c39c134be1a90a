#include "core/train/evaluate.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/text/tokenizer.hpp"
#include "core/train/stages.hpp"
#include "tests/core/model_fixture.hpp"

namespace calm::train {
namespace {

using model_test::kPico;
using model_test::tokens;

class Evaluate : public testing::Test {
 protected:
  Evaluate() {
    loaded_ = run::make_model(model_test::runtime(), "mamba", model_test::model_config(kPico), 6);
  }
  // Mean loss of one sequence alone, and its counted targets.
  double sum_of(const data::Dataset &dataset, std::uint32_t index, std::int64_t *counted) {
    Stages stages(*session_, *loaded_.model, model_test::next_token(), {});
    stages.upload(*loaded_.weights);
    const data::Batch batch = data::pack(dataset, std::span(&index, 1), 1, kPico.l_max);
    *counted = batch.counted;
    return stages.eval(batch);
  }

  std::unique_ptr<run::Session> session_ = model_test::reference();
  run::LoadedModel loaded_;
};

TEST_F(Evaluate, IsTheMeanOverEveryCountedTokenOfTheFile) {
  std::vector<std::vector<std::int32_t>> rows;
  std::vector<std::int32_t> cmd;
  for (std::uint32_t i = 0; i < 21; ++i) {  // more than a batch, lengths 1 to 101
    rows.push_back(tokens(5 * i + 1, i));
    rows.back().back() = i % 2 == 0 ? text::kEos : 65;
    cmd.push_back(static_cast<std::int32_t>(i % 3));
  }
  const data::Dataset dataset = model_test::make_dataset(rows, cmd);
  double sum = 0;
  std::int64_t targets = 0, byte_targets = 0;
  for (std::uint32_t i = 0; i < dataset.size(); ++i) {
    std::int64_t counted = 0;
    sum += sum_of(dataset, i, &counted);
    targets += counted;
    byte_targets += counted - (counted > 0 && i % 2 == 0 ? 1 : 0);
  }
  const Evaluation result = evaluate(model_test::runtime(), *session_, loaded_, dataset);
  EXPECT_EQ(result.sequences, 21u);
  EXPECT_EQ(result.tokens, static_cast<std::uint64_t>(targets));
  EXPECT_NEAR(result.loss, sum / static_cast<double>(targets), 1e-5);
  EXPECT_NEAR(result.bits_per_byte, sum / std::log(2.0) / static_cast<double>(byte_targets), 1e-5);
}

TEST_F(Evaluate, OfNothingThatCountsIsZero) {
  const Evaluation result = evaluate(model_test::runtime(), *session_, loaded_,
                                     model_test::make_dataset({{65}, {65, 256}}));
  EXPECT_EQ(result.loss, 0);
  EXPECT_EQ(result.bits_per_byte, 0);
  EXPECT_EQ(result.tokens, 0u);
}

TEST_F(Evaluate, AForwardPassGivesLogitsOfEveryPositionAndTheLoss) {
  const data::Dataset dataset =
      model_test::make_dataset({tokens(9, 1), tokens(80, 2), {66}}, {2, 0, 0});
  const ForwardResult result = forward(model_test::runtime(), *session_, loaded_, dataset, {});
  EXPECT_EQ(result.offsets, (std::vector<std::int32_t>{0, 9, 73, 74}));  // l_max is 64
  EXPECT_EQ(result.logits.size(), 74u * 320);
  EXPECT_TRUE(result.gradients.empty());
  EXPECT_TRUE(result.after.empty());
  double sum = 0;
  std::int64_t targets = 0;
  for (std::uint32_t i = 0; i < 3; ++i) {
    std::int64_t counted = 0;
    sum += sum_of(dataset, i, &counted);
    targets += counted;
  }
  EXPECT_NEAR(static_cast<double>(result.loss), sum / static_cast<double>(targets), 1e-5);
}

TEST_F(Evaluate, OptimizerStepsLowerTheLossOfTheBatch) {
  const data::Dataset dataset = model_test::make_dataset({tokens(9, 1), tokens(30, 2)});
  ForwardOptions options;
  options.gradients = true;
  options.steps = 5;
  const ForwardResult result = forward(model_test::runtime(), *session_, loaded_, dataset, options);
  ASSERT_EQ(result.gradients.size(), 1u);
  ASSERT_EQ(result.after.size(), 1u);
  EXPECT_TRUE(result.gradients[0].finite());
  run::LoadedModel after;
  after.model = model_test::make_model(kPico);
  after.weights = std::make_unique<run::Weights>(after.model->layout());
  std::copy(result.after[0].flat().begin(), result.after[0].flat().end(),
            after.weights->flat().begin());
  EXPECT_LT(forward(model_test::runtime(), *session_, after, dataset, {}).loss,
            result.loss - 0.01F);
}

// The first step of AdamW moves every weight with a gradient by the rate (spec I.8 without decay's
// part), against its sign.
TEST_F(Evaluate, TheFirstStepIsTheRateAgainstTheSignOfTheGradient) {
  const data::Dataset dataset = model_test::make_dataset({tokens(9, 1), tokens(30, 2)});
  ForwardOptions options;
  options.gradients = true;
  options.steps = 1;
  options.lr = 1e-2;
  const ForwardResult result = forward(model_test::runtime(), *session_, loaded_, dataset, options);
  const graph::ParamLayout &layout = loaded_.model->layout();
  std::size_t moved = 0;
  for (std::uint32_t i = 0; i < layout.params().size(); ++i) {
    const double decay = layout.param(i).decay ? 1 - 1e-2 * 0.01 : 1.0;
    for (std::size_t k = 0; k < loaded_.weights->of(i).size(); ++k) {
      const auto gradient = static_cast<double>(result.gradients[0].of(i)[k]);
      if (std::abs(gradient) < 1e-3) {  // eps counts where the clip makes it smaller
        continue;
      }
      const double want =
          static_cast<double>(loaded_.weights->of(i)[k]) * decay - std::copysign(1e-2, gradient);
      ASSERT_NEAR(static_cast<double>(result.after[0].of(i)[k]), want, 1e-5)
          << layout.param(i).name;
      ++moved;
    }
  }
  EXPECT_GT(moved, 1000u);
}

}  // namespace
}  // namespace calm::train
