// Contrastive training of a tiny model on pairs of the test's own (spec I.15).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/run/embedder.hpp"
#include "core/run/manifest.hpp"
#include "core/text/tokenizer.hpp"
#include "core/train/bookkeeping.hpp"
#include "core/train/dry_run.hpp"
#include "core/train/train.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"
#include "tests/core/train_fixture.hpp"

namespace calm::train {
namespace {

using model_test::flag;
using model_test::integer;
using model_test::real;
using testing::HasSubstr;

class Listener : public TrainObserver {
 public:
  void started(const Start &start) override { start_ = start; }
  void stepped(const StepMetrics &m) override { losses_.push_back(m.loss); }
  void validated(const StepMetrics &) override { validated_ = true; }
  void epoch_ended(const Epoch &epoch) override { epochs_.push_back(epoch); }

  Start start_{};
  std::vector<double> losses_;
  std::vector<Epoch> epochs_;
  bool validated_ = false;
};

class TrainContrastive : public TrainFixture {
 protected:
  TrainContrastive() { dataset_ = write_pairs("pairs.txt", 13); }

  // A word that the query and its passage share tells them from the others.
  static std::string word(std::size_t i) {
    return std::string(3 + i % 4, static_cast<char>('a' + i));
  }
  std::string write_pairs(const std::string &name, std::size_t count) const {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
      text += "<QUERY>what is " + word(i) + "\n<REF>" + word(i) + " is explained here, " + word(i) +
              ".\n\n";
    }
    return folder_.write(name, text);
  }

  TrainConfig pairs_config(std::vector<OwnedValue> given, const std::string &save_dir) const {
    TrainConfig c = config({}, save_dir);
    c.objective = "contrastive";
    c.pairs = true;
    for (const OwnedValue &v : {integer("epochs", 3), integer("batch_size", 4)}) {
      if (std::none_of(given.begin(), given.end(),
                       [&v](const OwnedValue &g) { return g.name == v.name; })) {
        given.push_back(v);
      }
    }
    c.training = run::Values::resolve(
        model_test::runtime().plugins().trainer("contrastive").options, given, "training");
    return c;
  }
};

TEST_F(TrainContrastive, PairsFindEachOther) {
  Listener listener;
  const TrainConfig c = pairs_config(
      {integer("epochs", 12), integer("batch_size", 13), real("learning_rate", 1e-2)}, "run");
  const run::LoadedModel trained =
      run::load_model(model_test::runtime(), run(c, listener).model_path);
  EXPECT_EQ(listener.start_.sequences, 13u);
  EXPECT_EQ(listener.losses_.size(), 12u);
  EXPECT_LT(listener.losses_.back(), 0.25 * listener.losses_.front());
  EXPECT_FALSE(listener.validated_);
  EXPECT_FALSE(listener.epochs_.back().val_loss);

  // Of all passages the one of the pair is the nearest.
  std::vector<std::vector<std::int32_t>> queries, passages;
  for (std::size_t i = 0; i < 13; ++i) {
    queries.push_back(run::text_tokens("what is " + word(i), trained.model->l_max()));
    passages.push_back(
        run::text_tokens(word(i) + " is explained here, " + word(i) + ".", trained.model->l_max()));
  }
  const std::unique_ptr<run::Session> session = model_test::reference();
  run::Embedder embedder(*session, *trained.model, *trained.weights, {});
  const std::vector<float> q = embedder.embed(queries), p = embedder.embed(passages);
  const auto d = static_cast<std::size_t>(embedder.dimension());
  std::size_t found = 0;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    std::size_t best = 0;
    float most = -2;
    for (std::size_t j = 0; j < passages.size(); ++j) {
      float cosine = 0;
      for (std::size_t k = 0; k < d; ++k) {
        cosine += q[i * d + k] * p[j * d + k];
      }
      if (cosine > most) {
        most = cosine;
        best = j;
      }
    }
    found += best == i ? 1 : 0;
  }
  EXPECT_GE(found, 12u);
}

TEST_F(TrainContrastive, ABatchOfOnePairIsSkippedWhole) {
  Listener listener;
  // 13 pairs: three batches of four, and one pair that no epoch takes.
  const TrainResult result =
      run(pairs_config({integer("gradient_accumulation_steps", 2)}, "run"), listener);
  EXPECT_EQ(result.steps, 6u);  // an update of two batches and a flush of one, three epochs
  EXPECT_EQ(listener.start_.total_steps, 3u);  // floor(13 / (4 * 2)) an epoch
}

TEST_F(TrainContrastive, TheNumberOfThreadsChangesNothing) {
  std::vector<std::string> files;
  for (const std::uint32_t threads : {1u, 2u, 4u}) {
    run::Runtime runtime(model_test::runtime_options(threads));
    TrainObserver silent;
    TrainConfig c = pairs_config({integer("epochs", 1)}, std::to_string(threads));
    // Large enough for the work to be shared out.
    c.model = model_test::model_config({64, 2, 64, 2, 2, 16, 4, 0});
    files.push_back(calm_test::read_bytes(run(c, silent, runtime).model_path));
  }
  EXPECT_EQ(files[0], files[1]);
  EXPECT_EQ(files[0], files[2]);
}

TEST_F(TrainContrastive, AResumedRunGivesTheBitsOfOneThatWasNotInterrupted) {
  const TrainConfig whole = pairs_config(
      {integer("warmup_steps", 2), integer("gradient_accumulation_steps", 2)}, "whole");
  run(whole);
  for (const std::uint64_t step : {1u, 2u, 3u, 4u}) {  // an epoch is two updates
    expect_the_same(whole, step, "at" + std::to_string(step));
  }
}

TEST_F(TrainContrastive, OnlineEwcRemembersTheQueries) {
  TrainConfig whole = pairs_config({}, "whole");
  whole.ewc.emplace();
  whole.ewc->lambda = 50;
  whole.ewc->interval = 2;
  whole.ewc->fisher_batches = 2;
  whole.ewc->buffer_batches = 3;
  run(whole);
  for (const std::uint64_t step : {2u, 3u, 5u}) {
    expect_the_same(whole, step, "ewc" + std::to_string(step));
  }
  // A batch of the buffer is that of the queries, padded to the longest of them.
  const data::Document buffer = data::read_document(
      model_test::runtime(), newest(whole.save_dir) + "/ewc_buffer.safetensors");
  ASSERT_EQ(buffer.tensors.size(), 3u);
  const data::DocumentTensor &batch = buffer.tensors[0];
  const auto longest = static_cast<std::int64_t>(text::encode("what is dddddd").size() + 2);
  EXPECT_EQ(batch.type.shape[0], 4);
  EXPECT_LE(batch.type.shape[1], longest);
  EXPECT_EQ(batch.as<std::int32_t>()[0], text::kBos);
}

TEST_F(TrainContrastive, PatienceGoesByTheLossAlone) {
  Listener listener;
  // Without a rate no epoch is better than the first.
  const TrainConfig c = pairs_config({integer("epochs", 9), integer("patience", 2),
                                      flag("shuffle", false), real("learning_rate", 1e-300)},
                                     "run");
  run(c, listener);
  EXPECT_EQ(listener.epochs_.size(), 3u);
  const run::Manifest last = run::read_manifest(newest(c.save_dir));
  EXPECT_EQ(last.progress.best_train_loss, listener.epochs_[0].train_loss);
  EXPECT_EQ(last.objective, "contrastive");
}

TEST(PairsBookkeeping, ABetterLossSetsTheCounterBackWhole) {
  Bookkeeping books;
  EXPECT_TRUE(books.pairs_epoch_ended(1.0));
  EXPECT_FALSE(books.pairs_epoch_ended(1.0));
  EXPECT_FALSE(books.pairs_epoch_ended(2.0));
  EXPECT_EQ(books.counter(), 2);
  EXPECT_TRUE(books.pairs_epoch_ended(0.5));
  EXPECT_EQ(books.counter(), 0);
  EXPECT_EQ(books.best_train(), 0.5);
}

TEST_F(TrainContrastive, OtherPairsAreRefusedUnlessForced) {
  TrainConfig c = pairs_config({}, "run");
  c.max_steps = 2;
  run(c);
  c.resume = newest(c.save_dir);
  c.dataset = write_pairs("other.txt", 12);
  const Error e = failure(c);
  EXPECT_EQ(e.status(), CALM_INVALID_ARGUMENT);
  EXPECT_THAT(e.what(), HasSubstr("expected the --pairs that"));
}

TEST_F(TrainContrastive, OnePairIsTooFew) {
  TrainConfig c = pairs_config({}, "run");
  c.dataset = write_pairs("one.txt", 1);
  const Error e = failure(c);
  EXPECT_EQ(e.status(), CALM_CORRUPT_DATA);
  EXPECT_THAT(e.what(), HasSubstr("one.txt: expected at least two pairs, found 1"));
}

TEST_F(TrainContrastive, ADryRunCountsPairs) {
  const std::unique_ptr<run::Session> session = model_test::reference();
  const DryRun dry = dry_run(model_test::runtime(), *session, pairs_config({}, "run"));
  EXPECT_EQ(dry.sequences, 13u);
  EXPECT_EQ(dry.steps, 9u);
}

}  // namespace
}  // namespace calm::train
