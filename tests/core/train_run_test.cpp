// Whole training runs of a tiny model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <string>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/data/document.hpp"
#include "core/train/train.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"
#include "tests/core/train_fixture.hpp"

namespace calm::train {
namespace {

using model_test::flag;
using model_test::integer;
using model_test::real;
using model_test::tokens;
using testing::HasSubstr;

std::string read(const std::string &path) { return calm_test::read_bytes(path); }

// Remembers what it is told.
class Listener : public TrainObserver {
 public:
  void started(const Start &start) override { start_ = start; }
  void stepped(const StepMetrics &m) override { steps_.push_back(m); }
  void logged(const StepMetrics &m) override { logged_.push_back(m.step); }
  void validated(const StepMetrics &m) override { validated_.push_back(m.step); }
  void epoch_ended(const Epoch &epoch) override { epochs_.push_back(epoch); }
  void stopping(const std::string &why) override { why_ = why; }

  Start start_{};
  std::vector<StepMetrics> steps_;
  std::vector<std::uint64_t> logged_, validated_;
  std::vector<Epoch> epochs_;
  std::string why_;
};

class TrainRun : public TrainFixture {
 protected:
  TrainRun() { dataset_ = write_dataset("train.ctds", 22, 1); }
  std::string write_dataset(const std::string &name, std::size_t count, std::uint32_t seed,
                            std::size_t half = 8) const {
    return TrainFixture::write_dataset(name, count, seed, half);
  }
};

TEST_F(TrainRun, TheSameSeedWritesTheSameFile) {
  const std::vector<OwnedValue> options = {integer("epochs", 2)};
  const TrainResult a = run(config(options, "a")), b = run(config(options, "b"));
  EXPECT_EQ(a.steps, 12u);  // 22 sequences are six batches of four
  EXPECT_EQ(read(a.model_path), read(b.model_path));
  TrainConfig other = config(options, "c");
  other.seed = 5;
  EXPECT_NE(read(a.model_path), read(run(other).model_path));
}

TEST_F(TrainRun, TheNumberOfThreadsChangesNothing) {
  std::vector<std::string> files;
  for (const std::uint32_t threads : {1u, 2u, 4u}) {
    run::Runtime runtime(model_test::runtime_options(threads));
    TrainObserver silent;
    const TrainConfig c = config({integer("epochs", 2)}, std::to_string(threads));
    files.push_back(read(run(c, silent, runtime).model_path));
  }
  EXPECT_EQ(files[0], files[1]);
  EXPECT_EQ(files[0], files[2]);
}

TEST_F(TrainRun, GradientCheckpointingChangesNoBit) {
  const std::string kept = run(config({integer("epochs", 2)}, "kept")).model_path;
  const std::string again =
      run(config({integer("epochs", 2), model_test::flag("gradient_checkpointing", true)}, "again"))
          .model_path;
  EXPECT_EQ(calm_test::read_bytes(kept), calm_test::read_bytes(again));
}

TEST_F(TrainRun, LearnsAndTellsItsObserver) {
  Listener listener;
  const TrainResult result =
      run(config({integer("epochs", 8), integer("warmup_steps", 5), real("learning_rate", 1e-2),
                  integer("log_interval_steps", 10)},
                 "run"),
          listener);
  EXPECT_EQ(listener.start_.sequences, 22u);
  EXPECT_EQ(listener.start_.val_sequences, 0u);
  EXPECT_EQ(listener.start_.total_steps, 40u);  // of the schedule: floor
  EXPECT_EQ(listener.start_.backend, "reference");
  ASSERT_EQ(listener.steps_.size(), 48u);
  for (std::size_t i = 0; i < 48; ++i) {
    EXPECT_EQ(listener.steps_[i].step, i + 1);
    EXPECT_EQ(listener.steps_[i].epoch, i / 6 + 1);
    EXPECT_EQ(listener.steps_[i].total_steps, 48u);
  }
  EXPECT_EQ(listener.steps_[0].lr, 0.0);
  EXPECT_EQ(listener.logged_, (std::vector<std::uint64_t>{10, 20, 30, 40}));
  ASSERT_EQ(listener.epochs_.size(), 8u);
  EXPECT_LT(listener.epochs_[7].train_loss, 0.8 * listener.epochs_[0].train_loss);
  EXPECT_EQ(result.train_loss, listener.epochs_[7].train_loss);
  EXPECT_FALSE(result.best_val_loss);
  EXPECT_FALSE(result.cancelled);
}

TEST_F(TrainRun, TheRunningMeanIsThatOfTheEpochsMicroBatches) {
  Listener listener;
  run(config({integer("epochs", 2)}, "run"), listener);
  double sum = 0;
  for (std::size_t i = 0; i < 12; ++i) {
    sum = i % 6 == 0 ? listener.steps_[i].loss : sum + listener.steps_[i].loss;
    EXPECT_DOUBLE_EQ(listener.steps_[i].mean_loss, sum / static_cast<double>(i % 6 + 1));
  }
}

// Spec I.5, I.9: 22 sequences in batches of four, three to an update: two updates and no rest; in
// batches of two: eleven batches, four updates, the last a flush of two that is not logged.
TEST_F(TrainRun, AnEpochEndsWithAFlushOfWhatHasGathered) {
  Listener listener;
  run(config({integer("epochs", 1), integer("batch_size", 2),
              integer("gradient_accumulation_steps", 3), integer("log_interval_steps", 1)},
             "run"),
      listener);
  EXPECT_EQ(listener.steps_.size(), 4u);
  EXPECT_EQ(listener.logged_, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(listener.start_.total_steps, 3u);
}

TEST_F(TrainRun, StopsAfterTheStepsAskedFor) {
  TrainConfig c = config({integer("epochs", 5)}, "run");
  c.max_steps = 8;
  Listener listener;
  const TrainResult result = run(c, listener);
  EXPECT_EQ(result.steps, 8u);
  EXPECT_EQ(listener.steps_.size(), 8u);
  EXPECT_EQ(listener.epochs_.size(), 1u);
  EXPECT_THAT(listener.why_, HasSubstr("8 steps"));
  EXPECT_FALSE(read(result.model_path).empty());
}

TEST_F(TrainRun, AnEpochThatIsCompleteCountsEvenWhenTheLimitIsReachedWithIt) {
  TrainConfig c = config({integer("epochs", 5)}, "run");
  c.max_steps = 12;
  Listener listener;
  run(c, listener);
  EXPECT_EQ(listener.epochs_.size(), 2u);
}

TEST_F(TrainRun, ASignalEndsTheRunWithTheWeightsSoFar) {
  std::atomic<int> stop{0};
  run::RuntimeOptions options = model_test::runtime_options(2);
  options.stop = &stop;
  run::Runtime runtime(options);
  class Stopper : public Listener {
   public:
    explicit Stopper(std::atomic<int> &flag) : flag_(flag) {}
    void stepped(const StepMetrics &m) override {
      Listener::stepped(m);
      flag_ = 2;
    }

   private:
    std::atomic<int> &flag_;
  } listener(stop);
  const TrainResult result = run(config({integer("epochs", 5)}, "run"), listener, runtime);
  EXPECT_TRUE(result.cancelled);
  EXPECT_LT(result.steps, 30u);
  EXPECT_FALSE(read(result.model_path).empty());
}

TEST_F(TrainRun, ARunThatDivergesPublishesNothing) {
  const TrainConfig c = config({real("learning_rate", 1e30)}, "run");
  const Error error = failure(c);
  EXPECT_EQ(error.status(), CALM_DIVERGED);
  EXPECT_THAT(error.what(), HasSubstr("diverged"));
  EXPECT_EQ(read(c.save_dir + "/model.cwgt"), "");
}

TEST_F(TrainRun, ADatasetWithoutUsableSequencesIsRefusedByName) {
  TrainConfig c = config({}, "run");
  c.dataset = write_dataset("short.ctds", 3, 1, 1);
  const Error error = failure(c);
  EXPECT_EQ(error.status(), CALM_CORRUPT_DATA);
  EXPECT_EQ(std::string(error.what()),
            c.dataset + ": expected at least one sequence of 4 to 40 tokens, found none among 3");
}

TEST_F(TrainRun, AFileThatIsNoDatasetIsRefused) {
  TrainConfig c = config({}, "run");
  c.dataset = run(config({}, "model")).model_path;
  EXPECT_EQ(failure(c).status(), CALM_CORRUPT_DATA);
  EXPECT_THAT(failure(c).what(), HasSubstr("expected a dataset (ctds), found cwgt"));
}

TEST_F(TrainRun, ASaveFolderThatCannotBeWrittenIsFoundOutFirst) {
  TrainConfig c = config({}, "run");
  c.save_dir = folder_.write("file", "") + "/below";
  Listener listener;
  EXPECT_EQ(failure(c).status(), CALM_IO);
}

TEST_F(TrainRun, ValidatesWhenAskedAndExportsTheBestWeights) {
  // Nothing of the validation set is in the training set: a hot run soon makes it worse.
  const std::string val = write_dataset("val.ctds", 9, 5000);
  const std::vector<OwnedValue> options = {integer("epochs", 6), real("learning_rate", 3e-2),
                                           integer("patience", 50)};
  TrainConfig best = config(options, "best");
  best.val_dataset = val;
  best.val_every = 4;
  Listener listener;
  const TrainResult kept = run(best, listener);
  EXPECT_EQ(listener.start_.val_sequences, 9u);
  EXPECT_EQ(listener.validated_,
            (std::vector<std::uint64_t>{4, 6, 8, 12, 16, 18, 20, 24, 28, 30, 32, 36}));
  ASSERT_TRUE(kept.best_val_loss);

  TrainConfig last = config(options, "last");
  last.val_dataset = val;
  last.val_every = 4;
  last.export_weights = Export::kLast;
  const TrainResult final = run(last);
  EXPECT_EQ(*final.best_val_loss, *kept.best_val_loss);
  EXPECT_GT(*listener.epochs_.back().val_loss, *kept.best_val_loss);
  EXPECT_NE(read(final.model_path), read(kept.model_path));

  // The exported weights have the loss that was reported.
  run::LoadedModel model = run::load_model(model_test::runtime(), kept.model_path);
  Listener check;
  TrainConfig again = config({real("learning_rate", 1e-300), real("weight_decay", 0)}, "again");
  again.init_cwgt = kept.model_path;
  again.val_dataset = val;
  run(again, check);
  EXPECT_NEAR(*check.epochs_[0].val_loss, *kept.best_val_loss, 1e-6);
}

TEST_F(TrainRun, PatienceEndsARunThatNoLongerImproves) {
  Listener listener;
  // A rate this small changes no weight.
  run(config({integer("epochs", 30), real("learning_rate", 1e-30), integer("patience", 3),
              flag("shuffle", false)},
             "run"),
      listener);
  EXPECT_EQ(listener.epochs_.size(), 4u);
  EXPECT_THAT(listener.why_, HasSubstr("early stopping"));
}

TEST_F(TrainRun, StartsFromTheWeightsAndTheShapeOfAFile) {
  const TrainResult first = run(config({integer("epochs", 2)}, "first"));
  TrainConfig c = config({real("learning_rate", 1e-30), real("weight_decay", 0)}, "second");
  c.init_cwgt = first.model_path;
  c.model = {};
  const TrainResult second = run(c);
  EXPECT_EQ(read(first.model_path), read(second.model_path));
}

TEST_F(TrainRun, MetadataAreWrittenIntoTheModel) {
  TrainConfig c = config({}, "run");
  c.metadata = run::domain_metadata(model_test::runtime(), "dictionary");
  c.metadata.template_spec = "BOS;WORD:input";
  const run::LoadedModel model = run::load_model(model_test::runtime(), run(c).model_path);
  EXPECT_EQ(model.metadata.domain, "dictionary");
  EXPECT_EQ(model.metadata.template_spec, "BOS;WORD:input");
  EXPECT_EQ(model.metadata.sampler.max_tokens, 512);
}

}  // namespace
}  // namespace calm::train
