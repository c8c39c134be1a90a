// The language model over shapes that are no powers of two: gradients, decoding, files.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "core/run/stage.hpp"
#include "core/train/stages.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"

namespace calm::run {
namespace {

using graph::Slot;
using model_test::kOdd;
using model_test::tokens;

constexpr auto kVocab = static_cast<std::size_t>(LanguageModel::kVocab);

// Lengths 1, 2, 13 and more than a chunk of the scan; empty ones between.
data::Dataset odd_dataset(std::size_t longest) {
  return model_test::make_dataset(
      {tokens(2, 1), tokens(1, 2), tokens(14, 3), {}, tokens(longest, 4), tokens(3, 5)},
      {0, 0, 5, 0, 0, 1});
}

// Weights large enough that every parameter matters.
Weights lively_weights(const LanguageModel &model) {
  Weights weights(model.layout());
  weights.initialise(11);
  for (std::uint32_t i = 0; i < model.layout().params().size(); ++i) {
    if (model.layout().param(i).init == CALM_INIT_NORMAL) {
      for (float &w : weights.of(i)) {
        w *= 8;
      }
    }
  }
  return weights;
}

TEST(OddModel, GradientsOfEveryParameterEqualFiniteDifferences) {
  const std::unique_ptr<Session> session = model_test::reference();
  model_test::Shape shape = kOdd;
  shape.l_max = 90;
  const std::unique_ptr<LanguageModel> model = model_test::make_model(shape, CALM_F64);
  const Weights weights = lively_weights(*model);
  train::Stages stages(*session, *model, model_test::next_token(), {});
  stages.upload(weights);
  const data::Dataset dataset = odd_dataset(71);
  const data::Batch batch = data::pack(dataset, model_test::all_of(dataset), 7, shape.l_max);
  ASSERT_EQ(batch.counted, 1 + 0 + 8 + 70 + 1);
  stages.forward(batch, true);
  const auto count = static_cast<double>(batch.counted);

  const auto loss_with = [&](std::uint64_t at, double value) {
    stages.weights().write(at * sizeof(double), &value, sizeof value);
    return stages.eval(batch) / count;
  };
  for (const graph::Param &param : model->layout().params()) {
    const auto n = static_cast<std::uint64_t>(elements(param.type));
    // Some coordinates of each; of the embedding the row of a token that occurs.
    std::vector<std::uint64_t> picks = {0, n / 3, n / 2 + 1, n - 1};
    if (param.name == "token_emb.weight") {
      picks = {static_cast<std::uint64_t>(batch.tokens[5]) * 40 + 7, 319 * 40 + 3};
    }
    for (const std::uint64_t pick : picks) {
      const std::uint64_t at = param.offset + pick;
      double gradient = 0;
      stages.grads().read(at * sizeof(double), &gradient, sizeof gradient);
      const auto original = static_cast<double>(weights.flat()[at]);
      constexpr double kStep = 1e-5;
      const double slope =
          (loss_with(at, original + kStep) - loss_with(at, original - kStep)) / (2 * kStep);
      loss_with(at, original);
      // Rounding of the loss (about 6) over the step, and the third derivative.
      EXPECT_NEAR(gradient, slope, 2e-9 + 1e-6 * std::abs(slope)) << param.name << " " << pick;
    }
  }
}

TEST(OddModel, AModelFileKeepsEveryBit) {
  const std::unique_ptr<Session> session = model_test::reference();
  const calm_test::TempFolder folder;
  LoadedModel made;
  made.model = model_test::make_model(kOdd);
  made.weights = std::make_unique<Weights>(lively_weights(*made.model));
  made.metadata.domain = "netref";
  made.metadata.template_spec = "BOS;QUERY:input;ATN";
  made.metadata.stop_conditions = "| ;";
  made.metadata.sampler.temperature = 0.25;
  made.metadata.sampler.top_k = 7;
  const std::string path = folder.path("odd.cwgt");
  save_model(model_test::runtime(), *made.model, *made.weights, made.metadata, path);
  const LoadedModel loaded = load_model(model_test::runtime(), path);

  EXPECT_EQ(loaded.metadata.domain, "netref");
  EXPECT_EQ(loaded.metadata.template_spec, "BOS;QUERY:input;ATN");
  EXPECT_EQ(loaded.metadata.stop_conditions, "| ;");
  EXPECT_EQ(loaded.metadata.sampler.temperature, 0.25);
  EXPECT_EQ(loaded.metadata.sampler.top_k, 7);
  EXPECT_FALSE(loaded.metadata.sampler.top_p);
  EXPECT_EQ(loaded.model->param_count(), made.model->param_count());

  const data::Dataset dataset = odd_dataset(40);
  const data::Batch batch = data::pack_inputs(dataset, model_test::all_of(dataset), 6, kOdd.l_max);
  std::vector<std::vector<float>> logits;
  for (const LoadedModel *model : {&std::as_const(made), &loaded}) {
    train::Stages stages(*session, *model->model, model_test::next_token(), {});
    stages.upload(*model->weights);
    logits.push_back(stages.forward(batch, false).logits);
  }
  ASSERT_EQ(logits[0].size(), logits[1].size());
  EXPECT_EQ(std::memcmp(logits[0].data(), logits[1].data(), logits[0].size() * sizeof(float)), 0);

  save_model(model_test::runtime(), *loaded.model, *loaded.weights, loaded.metadata,
             folder.path("again.cwgt"));
  EXPECT_EQ(calm_test::read_bytes(path), calm_test::read_bytes(folder.path("again.cwgt")));
}

TEST(OddModel, WeightsThatAreNotFiniteAreNeverWritten) {
  const calm_test::TempFolder folder;
  const std::unique_ptr<LanguageModel> model = model_test::make_model(kOdd);
  Weights weights = lively_weights(*model);
  weights.of(4)[0] = INFINITY;
  EXPECT_THROW(save_model(model_test::runtime(), *model, weights, {}, folder.path("bad.cwgt")),
               Error);
  EXPECT_EQ(folder.entries(), 0u);
}

TEST(OddModel, SequencesOfABatchDoNotSeeEachOther) {
  const std::unique_ptr<Session> session = model_test::reference();
  const std::unique_ptr<LanguageModel> model = model_test::make_model(kOdd);
  train::Stages stages(*session, *model, model_test::next_token(), {});
  stages.upload(lively_weights(*model));
  const data::Dataset dataset = odd_dataset(50);
  const std::vector<std::uint32_t> all = model_test::all_of(dataset);
  const data::Batch together = data::pack_inputs(dataset, all, 6, kOdd.l_max);
  const std::vector<float> logits = stages.forward(together, false).logits;
  for (const std::uint32_t i : all) {
    const data::Batch alone = data::pack_inputs(dataset, std::span(&i, 1), 1, kOdd.l_max);
    const std::vector<float> own = stages.forward(alone, false).logits;
    const std::size_t begin = static_cast<std::size_t>(together.offsets[i]) * kVocab;
    for (std::size_t k = 0; k < static_cast<std::size_t>(alone.rows) * kVocab; ++k) {
      ASSERT_NEAR(logits[begin + k], own[k], 1e-5F + 1e-5F * std::abs(own[k])) << "sequence " << i;
    }
  }
}

TEST(OddModel, PrefillAndStepsEqualTheForwardPass) {
  const std::unique_ptr<Session> session = model_test::reference();
  const std::unique_ptr<LanguageModel> model = model_test::make_model(kOdd);
  const Weights weights = lively_weights(*model);
  train::Stages stages(*session, *model, model_test::next_token(), {});
  stages.upload(weights);
  Buffer buffer(*session, weights.flat().size_bytes());
  weights.write_to(buffer);
  SlotBuffers shared{};
  slot_of(shared, Slot::kWeights) = &buffer;

  // Prompts shorter than the window, an empty one, a long one; then five tokens more of each.
  const std::vector<std::size_t> prompts = {1, 0, 2, 30};
  constexpr std::size_t kSteps = 5;
  std::vector<std::vector<std::int32_t>> whole, head;
  for (std::size_t s = 0; s < prompts.size(); ++s) {
    whole.push_back(tokens(prompts[s] + kSteps, static_cast<std::uint32_t>(s + 20)));
    head.emplace_back(whole[s].begin(), whole[s].begin() + static_cast<std::ptrdiff_t>(prompts[s]));
  }
  const data::Dataset full = model_test::make_dataset(whole);
  const data::Batch full_batch = data::pack_inputs(full, model_test::all_of(full), 4, kOdd.l_max);
  const std::vector<float> want = stages.forward(full_batch, false).logits;

  const data::Dataset start = model_test::make_dataset(head);
  const data::Batch batch = data::pack_inputs(start, model_test::all_of(start), 4, kOdd.l_max);
  Stage prefill(*session, model->prefill({64, 4, 50}), shared);
  prefill.write("tokens", batch.tokens);
  prefill.write("offsets", batch.offsets);
  prefill.run();
  Stage step(*session, model->step(4), shared);
  for (const graph::Binding &b : step.program().program().bindings()) {
    if (b.slot == Slot::kState && b.name != "ids") {
      step.state().copy_from(b.offset, prefill.state(),
                             prefill.binding(Slot::kState, b.name).offset, b.bytes);
    }
  }
  for (std::size_t t = 0; t < kSteps; ++t) {
    std::vector<std::int32_t> ids;
    for (std::size_t s = 0; s < prompts.size(); ++s) {
      ids.push_back(whole[s][prompts[s] + t]);
    }
    const graph::Binding &at = step.binding(Slot::kState, "ids");
    step.state().write(at.offset, ids.data(), at.bytes);
    step.run();
    std::vector<float> logits;
    step.read("logits", logits);
    for (std::size_t s = 0; s < prompts.size(); ++s) {
      const std::size_t row = static_cast<std::size_t>(full_batch.offsets[s]) + prompts[s] + t;
      for (std::size_t v = 0; v < kVocab; ++v) {
        const float expected = want[row * kVocab + v];
        ASSERT_NEAR(logits[s * kVocab + v], expected, 2e-5F + 1e-4F * std::abs(expected))
            << "sequence " << s << " step " << t;
      }
    }
  }
}

TEST(OddModel, ABatchWithNothingToCountHasLossAndGradientZero) {
  const std::unique_ptr<Session> session = model_test::reference();
  const std::unique_ptr<LanguageModel> model = model_test::make_model(kOdd);
  train::Stages stages(*session, *model, model_test::next_token(), {});
  stages.upload(lively_weights(*model));
  const data::Dataset dataset =
      model_test::make_dataset({tokens(6, 1), {256, 256, 256}, {7}}, {5, 0, 0});
  const data::Batch batch = data::pack(dataset, model_test::all_of(dataset), 3, kOdd.l_max);
  ASSERT_EQ(batch.counted, 0);
  EXPECT_EQ(stages.forward(batch, true).loss_sum, 0.0);
  Weights gradients(model->layout());
  gradients.read_from(stages.grads());
  for (const float g : gradients.flat()) {
    ASSERT_EQ(g, 0.0F);
  }
}

}  // namespace
}  // namespace calm::run
