// Online EWC of the reference (spec J): its numbers on given weights, and a whole run with
// accumulation.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "core/train/stages.hpp"
#include "core/train/train.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"
#include "tests/parity/model_golden.hpp"

namespace calm::golden {
namespace {

using model_test::flag;
using model_test::integer;
using model_test::real;

CALM_PARITY_ON_EVERY_BACKEND(Ewc);

void expect_each(const TensorFile &file, const std::string &prefix, const run::Weights &got) {
  for (std::uint32_t i = 0; i < got.layout().params().size(); ++i) {
    file.expect(prefix + got.layout().param(i).name, got.of(i));
  }
}

// Rows padded on the right, as the reference feeds them.
data::Batch batch_of(const TensorFile &file, const std::string &name, std::int64_t l_max) {
  const data::Dataset dataset = model_test::make_dataset(file.rows(name));
  std::vector<std::uint32_t> all(dataset.size());
  std::iota(all.begin(), all.end(), 0U);
  return data::pack(dataset, all, static_cast<std::int64_t>(all.size()), l_max, false);
}

// pico_ewc: lambda 10, decay 0.9; index.json says what is done.
TEST_P(Ewc, FisherAndPenaltyEqualTheReference) {
  const TensorFile file("pico_ewc.safetensors");
  const run::LoadedModel loaded = run::load_model(model_test::runtime(), path("pico.cwgt"));
  const graph::ParamLayout &layout = loaded.model->layout();
  graph::OptimizerOptions optimizer;
  optimizer.ewc = true;
  train::Stages stages(session(), *loaded.model, model_test::next_token(), optimizer);
  stages.upload(*loaded.weights);
  stages.start_ewc(nullptr, nullptr);
  const std::int64_t l_max = loaded.model->l_max();
  stages.consolidate({batch_of(file, "b0", l_max), batch_of(file, "b1", l_max)}, 0.9);
  run::Weights fisher(layout), anchor(layout);
  stages.download_ewc(fisher, anchor);
  expect_each(file, "fisher1/", fisher);
  EXPECT_EQ(anchor.flat().size(), loaded.weights->flat().size());
  EXPECT_TRUE(
      std::equal(anchor.flat().begin(), anchor.flat().end(), loaded.weights->flat().begin()));

  // A batch without a counted target leaves the gradient of the penalty alone.
  run::Weights theta(layout);
  for (std::uint32_t i = 0; i < layout.params().size(); ++i) {
    const std::vector<float> values = file.reals("theta/" + layout.param(i).name);
    std::copy(values.begin(), values.end(), theta.of(i).begin());
  }
  stages.upload(theta);
  data::Batch nothing = batch_of(file, "b0", l_max);
  std::fill(nothing.targets.begin(), nothing.targets.end(), -1);
  nothing.counted = 0;
  train::Stages::MicroBatch micro;
  micro.update = false;
  micro.ewc_lambda = 10;
  stages.train(nothing, micro);
  const std::vector<train::Stages::Metrics> metrics = stages.read_metrics();
  ASSERT_EQ(metrics.size(), 1u);
  const std::vector<float> penalty = {static_cast<float>(0.5 * 10 * metrics[0].ewc_sum)};
  file.expect("penalty", penalty);
  run::Weights grads(layout);
  grads.read_from(stages.grads());
  expect_each(file, "dpenalty/", grads);

  stages.consolidate({batch_of(file, "b2", l_max)}, 0.9);
  stages.download_ewc(fisher, anchor);
  expect_each(file, "fisher2/", fisher);
  EXPECT_TRUE(std::equal(anchor.flat().begin(), anchor.flat().end(), theta.flat().begin()));
}

class Trace : public train::TrainObserver {
 public:
  void stepped(const train::StepMetrics &m) override { steps_.push_back(m); }
  void epoch_ended(const Epoch &epoch) override { epochs_.push_back(epoch); }

  std::vector<train::StepMetrics> steps_;
  std::vector<Epoch> epochs_;
};

// train_accum_ewc/config.yaml
train::TrainConfig accum_ewc(const std::string &save_dir) {
  train::TrainConfig config;
  config.training = model_test::training(
      {integer("epochs", 4), integer("batch_size", 4), real("learning_rate", 0.003),
       integer("warmup_steps", 3), real("clip_grad_norm", 1.0), integer("patience", 5),
       real("weight_decay", 0.05), flag("shuffle", false), integer("log_interval_steps", 2),
       integer("gradient_accumulation_steps", 2), real("min_lr", 0.001)});
  config.ewc.emplace();
  config.ewc->lambda = 300;
  config.ewc->decay = 0.9;
  config.ewc->interval = 2;
  config.ewc->fisher_batches = 3;
  config.ewc->buffer_batches = 3;
  config.dataset = path("train_accum_ewc/train.ctds");
  config.val_dataset = path("train_accum_ewc/val.ctds");
  config.export_weights = train::Export::kLast;
  config.save_dir = save_dir;
  return config;
}

void expect_final_weights(const std::string &got_path) {
  const run::LoadedModel got = run::load_model(model_test::runtime(), got_path);
  const run::LoadedModel want =
      run::load_model(model_test::runtime(), path("train_accum_ewc/final.cwgt"));
  for (std::uint32_t i = 0; i < want.model->layout().params().size(); ++i) {
    expect_close(got.weights->of(i), want.weights->of(i), {0, 2e-5},
                 want.model->layout().param(i).name);
  }
}

TEST_P(Ewc, ARunWithAccumulationEqualsTheReference) {
  const calm_test::TempFolder folder;
  train::TrainConfig config = accum_ewc(folder.path("run"));
  config.init_cwgt = path("train_accum_ewc/init.cwgt");
  Trace trace;
  const train::TrainResult result = train::train(model_test::runtime(), session(), config, trace);
  EXPECT_EQ(result.steps, 16u);
  const auto norms = json("train_accum_ewc/trace.json", "grad_norm");
  const auto rates = json("train_accum_ewc/trace.json", "lr");
  ASSERT_EQ(trace.steps_.size(), norms.size());
  bool penalised = false;
  for (std::size_t i = 0; i < norms.size(); ++i) {
    const train::StepMetrics &m = trace.steps_[i];
    EXPECT_NEAR(m.grad_norm, norms[i].get<double>(), 1e-3 * norms[i].get<double>()) << i;
    EXPECT_NEAR(m.lr, rates[i].get<double>(), 1e-12 + 1e-6 * rates[i].get<double>()) << i;
    penalised |= m.penalty > 0;
  }
  EXPECT_TRUE(penalised);
  // "Epoch 1/4: train=5.7973 val=5.6304"
  const std::string log = json("train_accum_ewc/trace.json", "log").get<std::string>();
  ASSERT_EQ(trace.epochs_.size(), 4u);
  for (const train::TrainObserver::Epoch &epoch : trace.epochs_) {
    const std::string key = "Epoch " + std::to_string(epoch.epoch) + "/4: train=";
    const std::size_t at = log.find(key);
    ASSERT_NE(at, std::string::npos);
    EXPECT_NEAR(epoch.train_loss, std::stod(log.substr(at + key.size())), 6e-4);
    EXPECT_NEAR(*epoch.val_loss, std::stod(log.substr(log.find("val=", at) + 4)), 6e-4);
  }
  expect_final_weights(result.model_path);

  // What the checkpoint of the second epoch holds.
  const TensorFile want("train_accum_ewc/epoch0002/weights.safetensors");
  const std::string checkpoint = folder.path("run/checkpoints/epoch0002");
  const run::LoadedModel got = run::load_model(model_test::runtime(), checkpoint);
  ASSERT_TRUE(got.ewc);
  for (std::uint32_t i = 0; i < got.model->layout().params().size(); ++i) {
    const std::string &name = got.model->layout().param(i).name;
    const std::vector<float> fisher = want.reals("ewc/fisher/" + name);
    const double largest = *std::max_element(fisher.begin(), fisher.end());
    expect_close(got.ewc.fisher->of(i), fisher, {2e-3, std::max(1e-9, 1e-4 * largest)}, name);
    expect_close(got.ewc.anchor->of(i), want.reals("ewc/theta_star/" + name), {0, 2e-5}, name);
  }
  const TensorFile buffer("train_accum_ewc/epoch0002/ewc_buffer.safetensors");
  const data::Document ours =
      data::read_document(model_test::runtime(), checkpoint + "/ewc_buffer.safetensors");
  for (const char *name : {"batch/000000", "batch/000001", "batch/000002"}) {
    EXPECT_EQ(ours.need(name).as<std::int32_t>(), buffer.integers(name)) << name;
  }
}

TEST_P(Ewc, GoingOnFromTheReferencesCheckpointEndsWhereItEnded) {
  const calm_test::TempFolder folder;
  train::TrainConfig config = accum_ewc(folder.path("run"));
  config.resume = path("train_accum_ewc/epoch0002");
  train::TrainObserver silent;
  const train::TrainResult result = train::train(model_test::runtime(), session(), config, silent);
  EXPECT_EQ(result.steps, 16u);
  expect_final_weights(result.model_path);
}

}  // namespace
}  // namespace calm::golden
