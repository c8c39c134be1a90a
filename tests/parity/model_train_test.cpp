// A training run of the reference from its start weights (spec I), and its schedules.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/run/stage.hpp"
#include "core/train/bookkeeping.hpp"
#include "core/train/train.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"
#include "tests/parity/model_golden.hpp"

namespace calm::golden {
namespace {

using graph::Slot;
using model_test::flag;
using model_test::integer;
using model_test::real;

CALM_PARITY_ON_EVERY_BACKEND(ModelTrain);

// train_adamw20/config.yaml
run::Values adamw20_training() {
  return model_test::training(
      {integer("epochs", 2), integer("batch_size", 4), real("learning_rate", 0.003),
       integer("warmup_steps", 5), real("clip_grad_norm", 1.0), integer("patience", 5),
       real("weight_decay", 0.05), flag("shuffle", false), integer("log_interval_steps", 1)});
}

class Trace : public train::TrainObserver {
 public:
  void started(const Start &start) override { start_ = start; }
  void stepped(const train::StepMetrics &m) override { steps_.push_back(m); }
  void logged(const train::StepMetrics &m) override { logs_.push_back(m); }
  void epoch_ended(const Epoch &epoch) override { epochs_.push_back(epoch); }

  Start start_{};
  std::vector<train::StepMetrics> steps_, logs_;
  std::vector<Epoch> epochs_;
};

void expect_weights(const run::LoadedModel &got, const run::LoadedModel &want, double atol) {
  for (std::uint32_t i = 0; i < want.model->layout().params().size(); ++i) {
    expect_close(got.weights->of(i), want.weights->of(i), {0, atol},
                 want.model->layout().param(i).name);
  }
}

TEST_P(ModelTrain, TwentyUpdatesOfAdamwEqualTheReference) {
  const calm_test::TempFolder folder;
  train::TrainConfig config;
  config.training = adamw20_training();
  config.dataset = path("train_adamw20/train.ctds");
  config.init_cwgt = path("train_adamw20/init.cwgt");
  config.save_dir = folder.path("run");
  Trace trace;
  const train::TrainResult result = train::train(model_test::runtime(), session(), config, trace);

  EXPECT_EQ(trace.start_.params, 35392u);
  EXPECT_EQ(trace.start_.sequences, 40u);
  EXPECT_EQ(trace.start_.dropped, 2u);
  EXPECT_EQ(trace.start_.total_steps, 20u);
  EXPECT_EQ(result.steps, 20u);

  const auto losses = json("train_adamw20/trace.json", "micro_loss_total");
  const auto norms = json("train_adamw20/trace.json", "grad_norm");
  const auto rates = json("train_adamw20/trace.json", "lr");
  ASSERT_EQ(trace.steps_.size(), losses.size());
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const train::StepMetrics &m = trace.steps_[i];
    EXPECT_EQ(m.step, i + 1);
    EXPECT_NEAR(m.loss, losses[i].get<double>(), 1e-4 * losses[i].get<double>());
    EXPECT_NEAR(m.grad_norm, norms[i].get<double>(), 1e-3 * norms[i].get<double>());
    EXPECT_NEAR(m.lr, rates[i].get<double>(), 1e-12 + 1e-6 * rates[i].get<double>());
  }

  // "  step=1 loss=5.7979 lr=0.00e+00": the running mean of the epoch.
  const std::string log = json("train_adamw20/trace.json", "log").get<std::string>();
  ASSERT_EQ(trace.logs_.size(), 20u);
  for (const train::StepMetrics &m : trace.logs_) {
    const std::string key = "step=" + std::to_string(m.step) + " loss=";
    const std::size_t at = log.find(key);
    ASSERT_NE(at, std::string::npos) << key;
    EXPECT_NEAR(m.mean_loss, std::stod(log.substr(at + key.size())), 1e-4 + 1e-4 * m.mean_loss);
  }
  ASSERT_EQ(trace.epochs_.size(), 2u);
  const double best = json("train_adamw20/trace.json", "last_checkpoint_training")
                          .at("best_train_loss")
                          .get<double>();
  EXPECT_NEAR(trace.epochs_[1].train_loss, best, 1e-4 * best);

  expect_weights(run::load_model(model_test::runtime(), result.model_path),
                 run::load_model(model_test::runtime(), path("train_adamw20/final.cwgt")), 2e-5);
}

// The first epoch over programs of the test's own, to look at what the trainer keeps for itself.
TEST_P(ModelTrain, MomentsAfterTenUpdatesEqualTheReference) {
  const run::LoadedModel loaded =
      run::load_model(model_test::runtime(), path("train_adamw20/init.cwgt"));
  const run::LanguageModel &model = *loaded.model;
  const std::uint64_t bytes = loaded.weights->flat().size_bytes();
  run::Buffer weights(session(), bytes), grads(session(), bytes), m(session(), bytes),
      v(session(), bytes), metrics(session(), 8192);
  run::SlotBuffers shared{};
  run::slot_of(shared, Slot::kWeights) = &weights;
  run::slot_of(shared, Slot::kGrads) = &grads;
  run::slot_of(shared, Slot::kM) = &m;
  run::slot_of(shared, Slot::kV) = &v;
  run::slot_of(shared, Slot::kMetrics) = &metrics;
  loaded.weights->write_to(weights);

  const data::Dataset dataset =
      data::read_dataset(model_test::runtime(), path("train_adamw20/train.ctds"));
  const std::vector<std::uint32_t> usable = data::usable_sequences(dataset, model.l_max());
  const auto rates = json("train_adamw20/trace.json", "lr");
  graph::OptimizerOptions optimizer;
  optimizer.weight_decay = 0.05;
  for (std::size_t step = 0; step < 10; ++step) {
    const data::Batch batch =
        data::pack(dataset, std::span(usable).subspan(step * 4, 4), 4, model.l_max());
    const auto rows = static_cast<std::int64_t>(batch.tokens.size());
    run::Stage stage(
        session(), model.train({rows, 4, rows}, model_test::next_token(), optimizer, true), shared);
    stage.write("tokens", batch.tokens);
    stage.write("targets", batch.targets);
    stage.write("offsets", batch.offsets);
    stage.step().set("inv_count", 1.0 / static_cast<double>(batch.counted));
    stage.step().set("grad_scale", 1.0);
    stage.step().set("lr", rates[step].get<double>());
    stage.step().set("bias1", 1.0 - std::pow(0.9, static_cast<double>(step + 1)));
    stage.step().set("bias2", 1.0 - std::pow(0.999, static_cast<double>(step + 1)));
    stage.step().set_integer("first", 1);
    stage.run();
  }

  const TensorFile moments("train_adamw20/epoch0001/optimizer.safetensors");
  const TensorFile checkpoint("train_adamw20/epoch0001/weights.safetensors");
  const auto expect = [&](const TensorFile &file, const std::string &prefix, run::Buffer &buffer,
                          double atol_of_largest, double atol) {
    run::Weights got(model.layout());
    got.read_from(buffer);
    for (std::uint32_t i = 0; i < model.layout().params().size(); ++i) {
      const std::string name = prefix + model.layout().param(i).name;
      const std::vector<float> want = file.reals(name);
      double largest = 0;
      for (const float x : want) {
        largest = std::max(largest, std::abs(static_cast<double>(x)));
      }
      expect_close(got.of(i), want, {1e-3, std::max(atol, atol_of_largest * largest)}, name);
    }
  };
  expect(moments, "exp_avg/", m, 1e-4, 1e-7);
  expect(moments, "exp_avg_sq/", v, 1e-4, 1e-12);
  expect(checkpoint, "model/", weights, 0, 2e-5);
}

TEST(ModelSchedule, LearningRatesEqualTheReference) {
  const calm_trainer &trainer = model_test::runtime().plugins().trainer("next_token");
  for (const nlohmann::json &c : json("schedule.json", "cosine_lr")) {
    const run::Values options =
        model_test::training({real("learning_rate", c.at("lr_max")), real("min_lr", c.at("lr_min")),
                              integer("warmup_steps", c.at("warmup"))});
    const std::vector<calm_value> records = options.records();
    double lr = -1;
    call(trainer.learning_rate, records.data(), static_cast<std::uint32_t>(records.size()),
         c.at("step").get<std::uint64_t>(), c.at("total").get<std::uint64_t>(), &lr);
    const auto want = c.at("lr").get<double>();
    EXPECT_NEAR(lr, want, 1e-9 * want) << c.dump();
  }
}

// "inf", "nan" or a number; the reference keeps losses in float32.
double loss_of(const nlohmann::json &value) {
  if (value == "nan") {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (value == "inf") {
    return std::numeric_limits<double>::infinity();
  }
  return static_cast<double>(value.get<float>());
}

TEST(ModelSchedule, PatienceEqualsTheReference) {
  for (const nlohmann::json &c : json("schedule.json", "patience")) {
    train::Bookkeeping books, last;
    std::vector<std::string> checkpoints;
    std::int64_t epoch = 0, last_epoch = 0;
    bool stopped = false;
    for (const nlohmann::json &losses : c.at("epochs")) {
      ++epoch;
      const std::optional<double> val =
          losses[1].is_null() ? std::nullopt : std::optional(loss_of(losses[1]));
      if (books.epoch_ended(loss_of(losses[0]), val)) {
        const std::string number = std::to_string(epoch);
        checkpoints.push_back("epoch" + std::string(4 - number.size(), '0') + number);
        last = books;
        last_epoch = epoch;
      }
      if (books.should_stop(c.at("patience"))) {
        stopped = true;
        break;
      }
    }
    EXPECT_EQ(epoch, c.at("epochs_run").get<std::int64_t>()) << c.dump();
    EXPECT_EQ(stopped, c.at("early_stop").get<bool>()) << c.dump();
    EXPECT_EQ(checkpoints, c.at("checkpoints").get<std::vector<std::string>>()) << c.dump();
    const nlohmann::json &saved = c.at("last_checkpoint");
    EXPECT_EQ(last.best_train(), loss_of(saved.at("best_train_loss"))) << c.dump();
    EXPECT_EQ(last.best_val(), loss_of(saved.at("best_val_loss"))) << c.dump();
    EXPECT_EQ(last.counter(), saved.at("patience_counter").get<std::int64_t>()) << c.dump();
    EXPECT_EQ(last_epoch, saved.at("current_epoch").get<std::int64_t>() + 1) << c.dump();
  }
}

}  // namespace
}  // namespace calm::golden
