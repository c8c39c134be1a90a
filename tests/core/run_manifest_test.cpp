#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include <calm/cpp/error.hpp>

#include "core/run/manifest.hpp"

namespace calm::run {
namespace {

using testing::HasSubstr;

Manifest full() {
  Manifest m;
  m.model = {{"d_model", CALM_VALUE_I64, 32, 0, {}}, {"tied", CALM_VALUE_BOOL, 1, 0, {}}};
  m.training = {{"learning_rate", CALM_VALUE_F64, 0, 0.1, {}}, {"note", CALM_VALUE_STR, 0, 0, "é"}};
  m.seed = 77;
  m.metadata.domain = "shell";
  m.metadata.sampler.top_k = 5;
  m.files = {{"a.safetensors", 12, "00ff"}};
  m.progress.current_epoch = 3;
  m.progress.global_step = 41;
  m.progress.best_train_loss = 1.0 / 3.0;
  m.progress.loss_sum = 0.1 + 0.2;
  m.progress.loss_count = 2;
  m.progress.validated_step = 40;
  m.progress.val_loss = 2.5;
  m.optimizer.groups.resize(2);
  m.optimizer.groups[0].lr = 1e-3;
  return m;
}

Error refusal(const std::string &text) {
  try {
    parse_manifest(text);
  } catch (const Error &e) {
    return e;
  }
  return {CALM_OK, "it was accepted"};
}

TEST(Manifest, WhatIsWrittenIsRead) {
  const std::string text = manifest_text(full());
  const Manifest m = parse_manifest(text);
  EXPECT_EQ(manifest_text(m), text);
  EXPECT_EQ(m.progress.loss_sum, 0.1 + 0.2);  // to the last bit
  EXPECT_EQ(m.progress.best_train_loss, 1.0 / 3.0);
  EXPECT_EQ(m.seed, 77u);
  EXPECT_EQ(m.metadata.sampler.top_k, 5);
  EXPECT_EQ(m.files[0].bytes, 12u);
}

TEST(Manifest, LossesThatAreNotFiniteSurvive) {
  Manifest m = full();
  m.progress.best_train_loss = std::numeric_limits<double>::infinity();
  m.progress.loss_sum = std::numeric_limits<double>::quiet_NaN();
  m.progress.val_loss = std::numeric_limits<double>::quiet_NaN();
  const Manifest back = parse_manifest(manifest_text(m));
  EXPECT_FALSE(back.progress.best_train_loss);
  EXPECT_TRUE(std::isnan(back.progress.loss_sum));
  ASSERT_TRUE(back.progress.val_loss);
  EXPECT_TRUE(std::isnan(*back.progress.val_loss));
}

TEST(Manifest, SaysWhichKeyIsWrong) {
  struct Case {
    const char *was, *is, *message;
  };
  for (const Case &c : {
           Case{R"("global_step": 41)", R"("global_step": -1)",
                "training.global_step: expected a whole number of at least 0, found -1"},
           Case{R"("global_step": 41)", R"("global_step": 1.5)", "training.global_step: expected"},
           Case{R"("global_step": 41)", R"("global_step": 18446744073709551615)",
                "training.global_step: expected"},
           Case{R"("global_step": 41)", R"("global_step": [[1]])", "found a list"},
           Case{R"("current_epoch": 3)", R"("current_epoch": -2)", "training.current_epoch"},
           Case{R"("type": "checkpoint")", R"("type": "other")",
                "type: expected checkpoint or model, found \"other\""},
           Case{R"("name": "calm")", R"("name": "llama")", "tokenizer.name: expected calm"},
           Case{R"("class_name": "AdamW")", R"("class_name": "SGD")",
                "optimizer.class_name: expected AdamW, found \"SGD\""},
           Case{R"("class_name": "AdamW")", R"("class_name": "S\nD")",
                R"(optimizer.class_name: expected AdamW, found "S\nD")"},
           Case{R"("filename": "optimizer.safetensors")", R"("filename": "../x")",
                "optimizer.filename: expected the name of a file in this folder"},
           Case{R"("a.safetensors": {)", R"("/etc/shadow": {)", "files: expected the name"},
           Case{R"("bytes": 12)", R"("bytes": "12")", "files.a.safetensors.bytes: expected"},
           Case{R"("d_model": 32)", R"("d_model": [32])", "config.model.d_model: expected"},
           Case{R"("training": {)", R"("training": 3, "x": {)",
                "config.training: expected an object"},
       }) {
    std::string text = manifest_text(full());
    const std::size_t at = text.find(c.was);
    ASSERT_NE(at, std::string::npos) << c.was;
    text.replace(at, std::string(c.was).size(), c.is);
    EXPECT_EQ(refusal(text).status(), CALM_CORRUPT_DATA) << c.is;
    EXPECT_THAT(refusal(text).what(), HasSubstr(c.message)) << c.is;
  }
}

TEST(Manifest, ANewerVersionIsNamedAsOne) {
  std::string text = manifest_text(full());
  text.replace(text.find(R"("format_version": 4)"), 19, R"("format_version": 5)");
  EXPECT_EQ(refusal(text).status(), CALM_VERSION);
  EXPECT_EQ(std::string(refusal(text).what()), "format_version: expected 4, found 5");
}

TEST(Manifest, WhatIsNoJsonIsRefused) {
  for (const std::string &text :
       {std::string(), std::string("{"), std::string("[]"), std::string("3"), std::string("{}"),
        std::string(100'000, '['), std::string(R"({"type": "\ud800"})"),
        std::string("{\"a\":\xff}")}) {
    const Error e = refusal(text);
    EXPECT_EQ(e.status(), CALM_CORRUPT_DATA) << text.substr(0, 20);
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace calm::run
