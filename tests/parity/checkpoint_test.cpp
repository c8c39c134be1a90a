// Checkpoint folders of the reference (spec M): read, and trained on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <calm/cpp/error.hpp>

#include "core/run/manifest.hpp"
#include "core/train/checkpoint.hpp"
#include "core/train/train.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"
#include "tests/parity/model_golden.hpp"

namespace calm::golden {
namespace {

namespace fs = std::filesystem;
using model_test::flag;
using model_test::integer;
using model_test::real;
using testing::HasSubstr;

CALM_PARITY_ON_EVERY_BACKEND(CheckpointRun);

TEST(Checkpoint, TheReferencesMetadataIsUnderstood) {
  const run::Manifest m = run::read_manifest(path("train_adamw20/epoch0001"));
  EXPECT_TRUE(m.checkpoint);
  EXPECT_EQ(m.progress.current_epoch, 0);
  EXPECT_EQ(m.progress.global_step, 10u);
  EXPECT_EQ(m.progress.best_train_loss, 5.608288955688477);
  EXPECT_FALSE(m.progress.best_val_loss);
  EXPECT_EQ(m.optimizer.step, 10u);
  EXPECT_EQ(m.optimizer.groups.size(), 2u);
  EXPECT_FALSE(m.ewc);
  const run::Manifest ewc = run::read_manifest(path("train_accum_ewc/epoch0002"));
  ASSERT_TRUE(ewc.ewc);
  EXPECT_TRUE(ewc.ewc->initialized);
  EXPECT_EQ(ewc.ewc->buffer_count, 3u);
}

// Written by Python: infinity as a word, no seed, the optimizer in a pickle.
TEST(Checkpoint, APeersLooserJsonIsUnderstood) {
  const run::Manifest m = run::parse_manifest(
      R"({"type": "checkpoint", "format_version": 4, "tokenizer": {"name": "calm"},
          "config": {"model": {"d_model": 32, "n_layers": 2, "l_max": 64, "note": "Infinity \" NaN"},
                     "training": {"epochs": 3, "device": null}, "continual": {"ewc_lambda": 0.4}},
          "training": {"current_epoch": 2, "global_step": 30, "patience_counter": 1,
                       "best_train_loss": 4.5, "best_val_loss": Infinity},
          "optimizer": {"class_name": "AdamW", "filename": "optimizer.pt"}, "ewc_state": null})");
  EXPECT_EQ(m.progress.current_epoch, 2);
  EXPECT_FALSE(m.progress.best_val_loss);
  EXPECT_EQ(m.optimizer.filename, "optimizer.pt");
  EXPECT_EQ(m.model.back().text, "Infinity \" NaN");  // inside a text it is text
}

TEST(Checkpoint, APickleIsNeverRead) {
  const calm_test::TempFolder folder;
  fs::copy(path("train_adamw20/epoch0001"), folder.path("peer"), fs::copy_options::recursive);
  fs::remove(folder.path("peer/optimizer.safetensors"));
  std::string text = calm_test::read_bytes(folder.path("peer/metadata.json"));
  const std::string name = "optimizer.safetensors";
  text.replace(text.find(name), name.size(), "optimizer.pt");
  fs::permissions(folder.path("peer/metadata.json"), fs::perms::owner_all);
  std::ofstream(folder.path("peer/metadata.json")) << text;
  try {
    train::read_checkpoint(model_test::runtime(), folder.path("peer"), false);
    FAIL();
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_UNSUPPORTED);
    EXPECT_THAT(e.what(), HasSubstr("--init-weights-only"));
  }
  EXPECT_TRUE(
      train::read_checkpoint(model_test::runtime(), folder.path("peer"), true).loaded.model);
}

TEST(Checkpoint, FilesOutsideTheFolderAreRefused) {
  for (const char *name : {"/etc/passwd", "../weights.safetensors", "..", "", "a/b"}) {
    const std::string text =
        std::string(R"({"type":"checkpoint","format_version":4,"config":{},"training":)") +
        R"({"current_epoch":0,"global_step":1},"optimizer":{"filename":")" + name + "\"}}";
    EXPECT_THROW(run::parse_manifest(text), Error) << name;
  }
}

TEST(Checkpoint, AFolderIsAModelLikeAFile) {
  const run::LoadedModel folder =
      run::load_model(model_test::runtime(), path("train_accum_ewc/epoch0002"));
  const TensorFile file("train_accum_ewc/epoch0002/weights.safetensors");
  for (std::uint32_t i = 0; i < folder.model->layout().params().size(); ++i) {
    const std::string &name = folder.model->layout().param(i).name;
    expect_close(folder.weights->of(i), file.reals("model/" + name), {0, 1e-30}, name);
  }
}

// The golden run's second epoch from the reference's checkpoint of the first.
TEST_P(CheckpointRun, GoingOnFromTheReferencesCheckpointEndsWhereItEnded) {
  const calm_test::TempFolder folder;
  train::TrainConfig config;
  config.training = model_test::training({integer("epochs", 2), integer("batch_size", 4),
                                          real("learning_rate", 0.003), integer("warmup_steps", 5),
                                          real("clip_grad_norm", 1.0), integer("patience", 5),
                                          real("weight_decay", 0.05), flag("shuffle", false)});
  config.dataset = path("train_adamw20/train.ctds");
  config.resume = path("train_adamw20/epoch0001");
  config.save_dir = folder.path("run");
  train::TrainObserver silent;
  const train::TrainResult result = train::train(model_test::runtime(), session(), config, silent);
  EXPECT_EQ(result.steps, 20u);
  const run::LoadedModel got = run::load_model(model_test::runtime(), result.model_path);
  const run::LoadedModel want =
      run::load_model(model_test::runtime(), path("train_adamw20/final.cwgt"));
  for (std::uint32_t i = 0; i < want.model->layout().params().size(); ++i) {
    expect_close(got.weights->of(i), want.weights->of(i), {0, 2e-5},
                 want.model->layout().param(i).name);
  }
}

}  // namespace
}  // namespace calm::golden
