#include "core/train/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include <calm/cpp/error.hpp>

#include "core/train/run_folder.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"

namespace calm::train {
namespace {

using model_test::runtime;
using testing::HasSubstr;

Setting setting(const char *section, OwnedValue value) {
  return {section, std::move(value), "--flag"};
}
OwnedValue text(const char *key, const char *value) { return {key, CALM_VALUE_STR, 0, 0, value}; }

std::string message_of(const ConfigRequest &request) {
  try {
    resolve_config(runtime(), request);
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_INVALID_ARGUMENT);
    return e.what();
  }
  return "nothing was wrong";
}

TEST(TrainConfig, TimesHaveUnits) {
  EXPECT_DOUBLE_EQ(parse_seconds("90"), 90);
  EXPECT_DOUBLE_EQ(parse_seconds("90s"), 90);
  EXPECT_DOUBLE_EQ(parse_seconds("10m"), 600);
  EXPECT_DOUBLE_EQ(parse_seconds("1h30m"), 5400);
  EXPECT_DOUBLE_EQ(parse_seconds("0.5h"), 1800);
  EXPECT_DOUBLE_EQ(parse_seconds("2d"), 172800);
  for (const char *bad : {"", "0", "m", "5x", "-5", "1e3", "1..5s", "inf", "nan", " 5"}) {
    EXPECT_THROW(parse_seconds(bad), Error) << bad;
  }
}

TEST(TrainConfig, ASettingIsTomlOrElseText) {
  const Setting number = parse_setting("training.learning_rate=1e-4", "--set");
  EXPECT_EQ(number.section, "training");
  EXPECT_EQ(number.value.name, "learning_rate");
  EXPECT_EQ(number.value.type, CALM_VALUE_F64);
  EXPECT_DOUBLE_EQ(number.value.f64, 1e-4);
  EXPECT_EQ(parse_setting("training.epochs=3", "--set").value.i64, 3);
  EXPECT_EQ(parse_setting("training.shuffle=false", "--set").value.type, CALM_VALUE_BOOL);
  EXPECT_EQ(parse_setting("domain=dictionary", "--set").section, "");
  EXPECT_EQ(parse_setting("domain=dictionary", "--set").value.text, "dictionary");
  EXPECT_EQ(parse_setting("template=\"a=b\"", "--set").value.text, "a=b");
  EXPECT_EQ(parse_setting("template=1\nseed = 2", "--set").value.type, CALM_VALUE_STR);
  EXPECT_THROW(parse_setting("training.epochs", "--set"), Error);
  EXPECT_THROW(parse_setting("=3", "--set"), Error);
  EXPECT_THROW(parse_setting("training.=3", "--set"), Error);
}

TEST(TrainConfig, LaterSettingsWinOverEarlierOnesAndOverThePreset) {
  ConfigRequest request;
  request.preset = "nano";
  request.overrides = {setting("training", {"epochs", CALM_VALUE_I64, 3, 0, {}}),
                       setting("training", {"epochs", CALM_VALUE_I64, 4, 0, {}})};
  const TrainConfig config = resolve_config(runtime(), request);
  EXPECT_EQ(config.training.integer("epochs"), 4);
  EXPECT_EQ(config.training.integer("batch_size"), 32);
  EXPECT_EQ(config.model.integer("d_model"), 64);
  EXPECT_EQ(config.save_dir, "./runs/calm");
  EXPECT_FALSE(config.max_steps.has_value());
  EXPECT_EQ(config.export_weights, Export::kBest);
}

TEST(TrainConfig, WhatIsWrittenResolvesToItself) {
  const calm_test::TempFolder folder;
  ConfigRequest request;
  request.preset = "micro";
  request.overrides = {
      setting("", text("domain", "a \"name\" of\tours\\")),
      setting("", text("template", "BOS;ATN;CMD:x")),
      setting("", text("stop_conditions", "\n \u00e9 #")),
      setting("", {"seed", CALM_VALUE_I64, 9007199254740993, 0, {}}),
      setting("", {"max_steps", CALM_VALUE_I64, 12, 0, {}}),
      setting("", text("max_time", "2.5m")),
      setting("", text("export", "last")),
      setting("training", {"learning_rate", CALM_VALUE_F64, 0, 1.0 / 3, {}}),
      setting("continual", text("method", "online_ewc")),
      setting("continual", {"lambda", CALM_VALUE_F64, 0, 0.7, {}}),
      setting("", {"export_ewc", CALM_VALUE_BOOL, 1, 0, {}}),
      setting("sampler", {"temperature", CALM_VALUE_F64, 0, 0.1, {}}),
  };
  const std::string written = config_toml(resolve_config(runtime(), request));
  ConfigRequest again;
  again.config_file = folder.path() + "/config.toml";
  std::ofstream(again.config_file) << written;
  const TrainConfig config = resolve_config(runtime(), again);
  EXPECT_EQ(config_toml(config), written);
  EXPECT_EQ(config.metadata.domain, "a \"name\" of\tours\\");
  EXPECT_EQ(config.seed, 9007199254740993U);
  EXPECT_EQ(config.max_seconds, 150);
  EXPECT_EQ(config.training.real("learning_rate"), 1.0 / 3);
  EXPECT_EQ(config.ewc->lambda, 0.7);
  EXPECT_TRUE(config.export_ewc);
  EXPECT_EQ(config.metadata.sampler.temperature, 0.1);
  EXPECT_FALSE(config.metadata.sampler.top_k.has_value());
}

TEST(TrainConfig, OnlineEwcIsChecked) {
  ConfigRequest request;
  request.preset = "nano";
  EXPECT_FALSE(resolve_config(runtime(), request).ewc);
  const auto with = [&request](std::vector<OwnedValue> values) {
    request.overrides.clear();
    for (OwnedValue &value : values) {
      request.overrides.push_back(setting("continual", std::move(value)));
    }
    return request;
  };
  EXPECT_FALSE(resolve_config(runtime(), with({text("method", "None")})).ewc);
  const OwnedValue on = text("method", "Online_EWC");
  const OwnedValue lambda = model_test::real("lambda", 2.5);
  const std::optional<EwcOptions> ewc = resolve_config(runtime(), with({on, lambda})).ewc;
  ASSERT_TRUE(ewc);
  EXPECT_EQ(ewc->lambda, 2.5);
  EXPECT_EQ(ewc->decay, 0.99);
  EXPECT_EQ(ewc->interval, 1000u);
  EXPECT_EQ(ewc->fisher_batches, 16u);
  EXPECT_EQ(ewc->buffer_batches, 1024u);
  EXPECT_THAT(message_of(with({text("method", "ewc")})),
              HasSubstr("continual.method: expected none or online_ewc, found ewc"));
  EXPECT_THAT(message_of(with({on})), HasSubstr("continual.lambda: expected a number above 0"));
  EXPECT_THAT(message_of(with({on, lambda, model_test::real("decay", 1)})),
              HasSubstr("continual.decay: expected a number from 0 to below 1"));
  // The reference says nothing and never consolidates (spec J.6).
  EXPECT_THAT(message_of(with({on, lambda, model_test::integer("buffer_batches", 15)})),
              HasSubstr("continual.buffer_batches: expected at least fisher_batches, 16"));
  EXPECT_THAT(message_of(with({model_test::real("lamda", 1)})),
              HasSubstr("did you mean \"lambda\""));
}

TEST(TrainConfig, ASectionOfTheSamplerReplacesTheDomainsDefaultsKeyByKey) {
  ConfigRequest request;
  request.preset = "nano";
  request.overrides = {setting("", text("domain", "dictionary")),
                       setting("sampler", {"top_k", CALM_VALUE_I64, 0, 0, {}}),
                       setting("sampler", {"candidates", CALM_VALUE_I64, 2, 0, {}})};
  const run::SamplerDefaults s = resolve_config(runtime(), request).metadata.sampler;
  EXPECT_EQ(s.temperature, 0.2);
  EXPECT_FALSE(s.top_k.has_value());
  EXPECT_EQ(s.candidates, 2);
}

TEST(TrainConfig, MessagesNameThePlace) {
  ConfigRequest request;
  request.preset = "nano";
  request.overrides = {setting("training", {"epoch", CALM_VALUE_I64, 3, 0, {}})};
  EXPECT_EQ(message_of(request), "--flag: training.epoch: unknown key; did you mean \"epochs\"?");
  request.overrides = {setting("sampler", {"top_k", CALM_VALUE_I64, 70000, 0, {}})};
  EXPECT_EQ(message_of(request), "--flag: sampler.top_k: expected 0 to 65535, found 70000");
  request.overrides = {setting("optimiser", {"x", CALM_VALUE_I64, 1, 0, {}})};
  EXPECT_THAT(message_of(request), HasSubstr("--flag: unknown section [optimiser]"));
  request.overrides = {setting("", text("sed", "1"))};
  EXPECT_EQ(message_of(request), "--flag: sed: unknown key; did you mean \"seed\"?");
  request.overrides.clear();
  request.preset = "";
  EXPECT_EQ(message_of(request), "training.epochs: expected an integer, found nothing");
}

TEST(TrainConfig, OnlyScalarsInSectionsAreRead) {
  const calm_test::TempFolder folder;
  ConfigRequest request;
  request.config_file = folder.path() + "/config.toml";
  for (const char *bad : {"[model]\nd_model = [1]\n", "[model.inner]\nd_model = 1\n",
                          "seed = 1979-05-27\n", "[[model]]\nd_model = 1\n"}) {
    std::ofstream(request.config_file) << bad;
    EXPECT_THAT(message_of(request), HasSubstr("expected a number, a text, true or false")) << bad;
  }
}

TEST(RunFolder, MetricsThatAreNotFiniteAreNull) {
  const calm_test::TempFolder folder;
  TrainConfig config;
  config.save_dir = folder.path();
  {
    RunFolder run_folder(config);
    run_folder.started({});
    StepMetrics metrics;
    metrics.step = 3;
    metrics.loss = std::numeric_limits<double>::quiet_NaN();
    metrics.lr = 0.5;
    run_folder.logged(metrics);
  }
  EXPECT_EQ(calm_test::read_bytes(folder.path() + "/metrics.jsonl"),
            "{\"step\":3,\"epoch\":0,\"loss\":null,\"val_loss\":null,\"lr\":0.5,\"grad_norm\":0.0,"
            "\"tokens_per_s\":0.0,\"seconds\":0.0}\n");
}

}  // namespace
}  // namespace calm::train
