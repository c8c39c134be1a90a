// A contrastive training run of the reference from its start weights (spec I.15).
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/run/manifest.hpp"
#include "core/train/train.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"
#include "tests/parity/model_golden.hpp"

namespace calm::golden {
namespace {

using model_test::flag;
using model_test::integer;
using model_test::real;

CALM_PARITY_ON_EVERY_BACKEND(ContrastiveTrain);

class Trace : public train::TrainObserver {
 public:
  void started(const Start &start) override { start_ = start; }
  void stepped(const train::StepMetrics &m) override { steps_.push_back(m); }
  void saved(const std::string &path) override {
    saved_.push_back(std::filesystem::path(path).filename().string());
    newest_ = path;
  }

  Start start_{};
  std::vector<train::StepMetrics> steps_;
  std::vector<std::string> saved_;
  std::string newest_;
};

// Three pairs in batches of two: of the second batch one pair is left, and it is skipped.
TEST_P(ContrastiveTrain, LossesNormsAndWeightsEqualTheReference) {
  const calm_test::TempFolder folder;
  train::TrainConfig config;
  config.objective = "contrastive";
  config.training = run::Values::resolve(  // contrastive_pico/config.yaml
      model_test::runtime().plugins().trainer("contrastive").options,
      {{integer("epochs", 4), integer("batch_size", 2), real("learning_rate", 0.0005),
        real("clip_grad_norm", 2.0), flag("shuffle", false), integer("log_interval_steps", 2)}},
      "training");
  config.dataset = path("pairs/basic.txt");
  config.init_cwgt = path("pico.cwgt");
  config.save_dir = folder.path("run");
  Trace trace;
  const train::TrainResult result = train::train(model_test::runtime(), session(), config, trace);

  EXPECT_EQ(trace.start_.params, 35392u);
  EXPECT_EQ(trace.start_.sequences, 3u);
  EXPECT_EQ(trace.start_.total_steps, 4u);
  EXPECT_EQ(result.steps, 4u);
  const auto losses = json("contrastive_pico/trace.json", "loss");
  const auto norms = json("contrastive_pico/trace.json", "grad_norm");
  const auto rates = json("contrastive_pico/trace.json", "lr");
  ASSERT_EQ(trace.steps_.size(), losses.size());
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const train::StepMetrics &m = trace.steps_[i];
    EXPECT_NEAR(m.loss, losses[i].get<double>(), 1e-4 * losses[i].get<double>());
    EXPECT_NEAR(m.grad_norm, norms[i].get<double>(), 1e-3 * norms[i].get<double>());
    EXPECT_NEAR(m.lr, rates[i].get<double>(), 1e-12 + 1e-6 * rates[i].get<double>());
  }
  EXPECT_EQ(nlohmann::json(trace.saved_), json("contrastive_pico/trace.json", "checkpoints"));

  // Without validation the best is the training loss; there is no best of validations.
  const run::Manifest last = run::read_manifest(trace.newest_);
  ASSERT_TRUE(last.progress.best_train_loss);
  EXPECT_NEAR(*last.progress.best_train_loss, losses[3].get<double>(),
              1e-4 * losses[3].get<double>());

  const run::LoadedModel got = run::load_model(model_test::runtime(), result.model_path);
  const run::LoadedModel want =
      run::load_model(model_test::runtime(), path("contrastive_pico/final.cwgt"));
  for (std::uint32_t i = 0; i < want.model->layout().params().size(); ++i) {
    expect_close(got.weights->of(i), want.weights->of(i), {0, 5e-5},
                 want.model->layout().param(i).name);
  }
}

}  // namespace
}  // namespace calm::golden
