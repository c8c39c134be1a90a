// Checkpoints and resumed runs of a tiny model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX, not <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <calm/cpp/error.hpp>

#include "core/data/document.hpp"
#include "core/train/checkpoint.hpp"
#include "core/train/run_folder.hpp"
#include "core/train/train.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"
#include "tests/core/train_fixture.hpp"

namespace calm::train {
namespace {

namespace fs = std::filesystem;
using model_test::integer;
using model_test::real;
using testing::HasSubstr;

std::string read(const std::string &path) { return calm_test::read_bytes(path); }

class TrainCheckpoint : public TrainFixture {
 protected:
  TrainCheckpoint() { dataset_ = write_dataset("train.ctds", 22, 1); }
  std::string write_dataset(const std::string &name, std::size_t count, std::uint32_t seed) const {
    return TrainFixture::write_dataset(name, count, seed, 0);
  }
};

TEST_F(TrainCheckpoint, AResumedRunGivesTheBitsOfOneThatWasNotInterrupted) {
  val_dataset_ = write_dataset("val.ctds", 9, 77);
  TrainConfig whole = config({integer("epochs", 3), integer("warmup_steps", 4)}, "whole");
  whole.val_every = 4;
  run(whole);
  for (const std::uint64_t step : {1u, 4u, 6u, 7u, 12u, 17u}) {  // an epoch is six updates
    expect_the_same(whole, step, "at" + std::to_string(step));
  }
}

TEST_F(TrainCheckpoint, AnAccumulationThatWasInterruptedGoesOn) {
  TrainConfig whole =
      config({integer("epochs", 3), integer("gradient_accumulation_steps", 4)}, "whole");
  run(whole);
  // The metrics of step 1 arrive with a later micro-batch, so gradients are half accumulated.
  whole.save_every = 0;
  expect_the_same(whole, 1, "first");
  expect_the_same(whole, 3, "third");
}

TEST_F(TrainCheckpoint, AStopBetweenUpdatesKeepsTheGradients) {
  // A signal during the second of three micro-batches.
  class AtStart : public TrainObserver {
   public:
    std::atomic<int> flag{0};
    void started(const Start &) override { flag = SIGINT; }
  } observer;
  TrainConfig whole =
      config({integer("epochs", 2), integer("gradient_accumulation_steps", 3)}, "whole");
  run(whole);
  TrainConfig part = whole;
  part.save_dir = folder_.path("part");
  run::RuntimeOptions options = model_test::runtime_options(1);
  options.stop = &observer.flag;
  run::Runtime runtime(options);
  const TrainResult stopped = run(part, observer, runtime);
  EXPECT_EQ(stopped.steps, 0u);
  EXPECT_TRUE(fs::exists(stopped.checkpoint + "/gradients.safetensors"));
  part.resume = stopped.checkpoint;
  EXPECT_EQ(read(run(part).model_path), read(whole.save_dir + "/model.cwgt"));
}

TEST_F(TrainCheckpoint, OnlineEwcGoesOnWithItsBufferAndItsFisherInformation) {
  TrainConfig whole = config({integer("epochs", 3)}, "whole");
  whole.ewc.emplace();
  whole.ewc->lambda = 50;
  whole.ewc->interval = 4;
  whole.ewc->fisher_batches = 2;
  whole.ewc->buffer_batches = 5;
  run(whole);
  for (const std::uint64_t step : {1u, 4u, 5u, 9u, 13u}) {  // before and after consolidations
    expect_the_same(whole, step, "ewc" + std::to_string(step));
  }
  TrainConfig without = whole;
  without.save_dir = folder_.path("without");
  without.ewc.reset();
  run(without);
  EXPECT_NE(read(without.save_dir + "/model.cwgt"), read(whole.save_dir + "/model.cwgt"));
}

TEST_F(TrainCheckpoint, AModelCarriesWhatItKnowsToAnotherMachine) {
  TrainConfig first = config({integer("epochs", 2)}, "first");
  first.export_ewc = true;
  const std::string carried = run(first).model_path;
  const run::LoadedModel model = run::load_model(model_test::runtime(), carried);
  ASSERT_TRUE(model.ewc);
  const std::span<const float> anchor = model.ewc.anchor->flat(), weights = model.weights->flat();
  EXPECT_TRUE(std::equal(weights.begin(), weights.end(), anchor.begin()));
  const std::span<const float> fisher = model.ewc.fisher->flat();
  EXPECT_GT(*std::max_element(fisher.begin(), fisher.end()), 0.0F);
  EXPECT_GE(*std::min_element(fisher.begin(), fisher.end()), 0.0F);

  // Other data, with the penalty from the first update on.
  const std::string other = write_dataset("other.ctds", 22, 900);
  const auto tuned = [&](const char *name, bool ewc) {
    TrainConfig second = config({integer("epochs", 2), real("learning_rate", 0.01)}, name);
    second.init_cwgt = carried;
    second.dataset = other;
    if (ewc) {
      second.ewc.emplace();
      second.ewc->lambda = 1e4;
    }
    const run::LoadedModel after = run::load_model(model_test::runtime(), run(second).model_path);
    double moved = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double step = static_cast<double>(after.weights->flat()[i] - weights[i]);
      moved += static_cast<double>(fisher[i]) * step * step;
    }
    return moved;
  };
  EXPECT_LT(tuned("with", true), 0.5 * tuned("without", false));
}

TEST_F(TrainCheckpoint, PatienceCountsAcrossAnInterruption) {
  val_dataset_ = write_dataset("val.ctds", 9, 77);
  // A rate this high makes every epoch worse.
  TrainConfig whole =
      config({integer("epochs", 12), integer("patience", 2), real("learning_rate", 0.5)}, "whole");
  run(whole);
  const run::Manifest last = run::read_manifest(newest(whole.save_dir));
  ASSERT_LT(last.progress.current_epoch + 1, 12);
  expect_the_same(whole, 8, "part");
  // A run that is over stays over.
  TrainConfig again = whole;
  again.resume = newest(whole.save_dir);
  EXPECT_EQ(run(again).steps, last.progress.global_step);
}

TEST_F(TrainCheckpoint, ALimitEndsARunThatCanGoOn) {
  TrainConfig whole = config({integer("epochs", 2)}, "whole");
  run(whole);
  TrainConfig part = config({integer("epochs", 2)}, "part");
  part.max_steps = 5;
  run(part);
  part.max_steps = 12;
  part.resume = newest(part.save_dir);
  run(part);
  EXPECT_EQ(contents(newest(part.save_dir)), contents(newest(whole.save_dir)));
  part.max_steps = 3;  // already past
  part.resume = newest(part.save_dir);
  EXPECT_EQ(run(part).steps, 12u);
}

TEST_F(TrainCheckpoint, SavesEverySoManyUpdatesAndKeepsTheNewestTwo) {
  TrainConfig c = config({integer("epochs", 1)}, "run");
  c.save_every = 1;
  c.max_steps = 5;
  Interrupter listener(~0u);
  run(c, listener);
  EXPECT_EQ(listener.saved_.size(), 5u);
  const std::string checkpoints = c.save_dir + "/checkpoints";
  EXPECT_FALSE(fs::exists(checkpoints + "/step0000003"));
  EXPECT_TRUE(fs::exists(checkpoints + "/step0000004"));
  EXPECT_EQ(newest(c.save_dir), checkpoints + "/step0000005");
}

TEST_F(TrainCheckpoint, ADivergingRunKeepsItsLastGoodCheckpoint) {
  TrainConfig c = config(
      {integer("epochs", 30), real("learning_rate", 1e30), integer("warmup_steps", 4)}, "run");
  c.save_every = 1;
  const Error e = failure(c);
  EXPECT_EQ(e.status(), CALM_DIVERGED);
  EXPECT_FALSE(fs::exists(c.save_dir + "/model.cwgt"));
  const run::Manifest last = run::read_manifest(newest(c.save_dir));
  EXPECT_EQ(last.progress.refused, 0);
  EXPECT_TRUE(read_checkpoint(model_test::runtime(), newest(c.save_dir), false).m->finite());
}

TEST_F(TrainCheckpoint, MetadataIsThatOfTheSpecification) {
  const TrainConfig c = config({integer("epochs", 1)}, "run");
  run(c);
  const std::string folder = newest(c.save_dir);
  EXPECT_EQ(fs::path(folder).filename(), "epoch0001");
  const std::string text = read(folder + "/metadata.json");
  const nlohmann::json json = nlohmann::json::parse(text);
  EXPECT_EQ(json.dump(2) + "\n", text);  // sorted, two blanks, a last line feed
  EXPECT_EQ(json["type"], "checkpoint");
  EXPECT_EQ(json["format_version"], 4);
  EXPECT_EQ(json["tokenizer"]["name"], "calm");
  EXPECT_EQ(json["tokenizer"]["special_tokens"]["277"], "<REF>");
  EXPECT_EQ(json["config"]["model"]["d_model"], 16);
  EXPECT_EQ(json["config"]["training"]["batch_size"], 4);
  EXPECT_EQ(json["training"]["current_epoch"], 0);
  EXPECT_EQ(json["training"]["global_step"], 6);
  EXPECT_FALSE(json["training"].contains("best_val_loss"));  // infinite
  EXPECT_EQ(json["optimizer"]["class_name"], "AdamW");
  EXPECT_EQ(json["optimizer"]["groups"][1]["params"],
            (std::vector<std::string>{"blocks.0.mixer.A_log", "blocks.0.mixer.D"}));
  EXPECT_EQ(json["optimizer"]["groups"][1]["weight_decay"], 0.0);
  EXPECT_TRUE(json["ewc_state"].is_null());
  const data::Document weights =
      data::read_document(model_test::runtime(), folder + "/weights.safetensors");
  EXPECT_EQ(weights.need("model/lm_head.weight").bytes,
            weights.need("model/token_emb.weight").bytes);
}

TEST_F(TrainCheckpoint, AnotherRunsCheckpointsAreMovedAside) {
  TrainConfig c = config({integer("epochs", 2)}, "run");
  run(c);
  c.seed = 9;
  run(c);
  EXPECT_TRUE(fs::exists(c.save_dir + "/checkpoints-1/epoch0002/metadata.json"));
  EXPECT_EQ(run::read_manifest(newest(c.save_dir)).seed, 9u);
  // Going on from an earlier one of the same run: what came after it is another future.
  c.resume = c.save_dir + "/checkpoints/epoch0001";
  run(c);
  EXPECT_TRUE(fs::exists(c.save_dir + "/checkpoints-2/epoch0002"));
  EXPECT_TRUE(fs::exists(c.save_dir + "/checkpoints/epoch0002"));
}

TEST_F(TrainCheckpoint, ABrokenCheckpointIsPassedOver) {
  const TrainConfig c = config({integer("epochs", 3)}, "run");
  run(c);
  const std::string checkpoints = c.save_dir + "/checkpoints";
  std::string bytes = read(checkpoints + "/epoch0003/optimizer.safetensors");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  std::ofstream(checkpoints + "/epoch0003/optimizer.safetensors", std::ios::binary) << bytes;
  fs::remove(checkpoints + "/epoch0002/weights.safetensors");
  EXPECT_EQ(newest(c.save_dir), checkpoints + "/epoch0001");
  TrainConfig broken = c;
  broken.resume = checkpoints + "/epoch0003";
  EXPECT_EQ(failure(broken).status(), CALM_CORRUPT_DATA);
  EXPECT_THAT(failure(broken).what(), HasSubstr("optimizer.safetensors: expected the SHA-256"));
}

TEST_F(TrainCheckpoint, WithoutAnyTheFolderIsNamed) {
  fs::create_directories(folder_.path("empty/checkpoints/epoch0001"));
  try {
    find_checkpoint(folder_.path("empty"));
    FAIL();
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_CORRUPT_DATA);
    EXPECT_THAT(e.what(), HasSubstr(folder_.path("empty")));
  }
  EXPECT_THROW(find_checkpoint(folder_.path("missing")), Error);
}

TEST_F(TrainCheckpoint, OtherDataIsRefusedUnlessForced) {
  TrainConfig c = config({integer("epochs", 2)}, "run");
  c.max_steps = 3;
  run(c);
  c.max_steps.reset();
  c.resume = newest(c.save_dir);
  c.dataset = write_dataset("other.ctds", 22, 5);
  EXPECT_EQ(failure(c).status(), CALM_INVALID_ARGUMENT);
  EXPECT_THAT(failure(c).what(), HasSubstr("other.ctds: expected the --dataset that"));
  c.force = true;
  EXPECT_EQ(run(c).steps, 12u);
}

TEST_F(TrainCheckpoint, WeightsOnlyStartsANewRun) {
  TrainConfig c = config({integer("epochs", 1)}, "run");
  run(c);
  TrainConfig next = config({integer("epochs", 1)}, "next");
  next.resume = newest(c.save_dir);
  next.weights_only = true;
  Interrupter listener(~0u);
  EXPECT_EQ(run(next, listener).steps, 6u);
  EXPECT_NE(read(folder_.path("run/model.cwgt")), read(folder_.path("next/model.cwgt")));
}

TEST_F(TrainCheckpoint, TwoRunsCannotShareAFolder) {
  const TrainConfig c = config({integer("epochs", 1)}, "run");
  const CheckpointStore other(c.save_dir);
  const Error e = failure(c);
  EXPECT_EQ(e.status(), CALM_IO);
  EXPECT_THAT(e.what(), HasSubstr("process " + std::to_string(::getpid()) + " is writing there"));
}

TEST_F(TrainCheckpoint, LeftoversOfDeadProcessesAreSweptAndThoseOfLivingOnesStay) {
  const std::string run_dir = folder_.path("run");
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  const std::string dead = run_dir + "/checkpoints/.tmp-" + std::to_string(child) + "-0badcafe";
  const std::string alive = run_dir + "/.tmp-" + std::to_string(::getppid()) + "-0badcafe";
  fs::create_directories(dead);
  fs::create_directories(alive);
  fs::create_directories(run_dir + "/.tmp-notes");
  const CheckpointStore store(run_dir);
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_TRUE(fs::exists(alive));
  EXPECT_TRUE(fs::exists(run_dir + "/.tmp-notes"));
}

TEST_F(TrainCheckpoint, AResumedRunKeepsTheRowsBeforeIt) {
  TrainConfig c = config({integer("epochs", 2), integer("log_interval_steps", 2)}, "run");
  c.max_steps = 7;
  RunFolder first(c);
  run(c, first);
  std::ofstream(c.save_dir + "/metrics.jsonl", std::ios::app) << "{\"step\":9}\n{\"st";  // killed
  c.max_steps.reset();
  c.resume = newest(c.save_dir);
  RunFolder second(c);
  run(c, second);
  std::ifstream rows(c.save_dir + "/metrics.jsonl");
  std::vector<int> steps;
  for (std::string line; std::getline(rows, line);) {
    steps.push_back(nlohmann::json::parse(line)["step"].get<int>());
  }
  EXPECT_EQ(steps, (std::vector<int>{2, 4, 6, 8, 10, 12}));
}

}  // namespace
}  // namespace calm::train
