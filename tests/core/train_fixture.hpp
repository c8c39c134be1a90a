#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/data/document.hpp"
#include "core/train/checkpoint.hpp"
#include "core/train/train.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"

namespace calm::train {

/// Asks a run to stop after a number of micro-batches or updates, as a signal would.
class Interrupter : public TrainObserver {
 public:
  explicit Interrupter(std::uint64_t step) : step_(step) {}
  void stepped(const StepMetrics &m) override {
    if (m.step == step_) {
      flag = SIGTERM;
    }
  }
  void saved(const std::string &path) override { saved_.push_back(path); }

  std::atomic<int> flag{0};
  std::vector<std::string> saved_;

 private:
  std::uint64_t step_;
};

/// Whole runs of a tiny model on data of the test's own.
class TrainFixture : public testing::Test {
 protected:
  static constexpr model_test::Shape kTiny = {16, 1, 40, 2, 2, 4, 3, 0};

  /// Text-like sequences: of each the second half repeats the first, which has `half` tokens, or
  /// 4 to 8 of them where `half` is 0.
  std::string write_dataset(const std::string &name, std::size_t count, std::uint32_t seed,
                            std::size_t half) const {
    std::vector<std::uint16_t> ids, lengths, cmd;
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<std::int32_t> row = model_test::tokens(half > 0 ? half : 4 + i % 5,
                                                         seed + static_cast<std::uint32_t>(i % 10));
      row.insert(row.end(), row.begin(), row.end());
      ids.insert(ids.end(), row.begin(), row.end());
      lengths.push_back(static_cast<std::uint16_t>(row.size()));
      cmd.push_back(1);
    }
    data::Document document;
    const auto n = static_cast<std::int64_t>(count);
    document.add<std::uint16_t>("lengths", lengths, {n});
    document.add<std::uint16_t>("cmd_pos", cmd, {n});
    document.add<std::uint16_t>("tokens", ids, {static_cast<std::int64_t>(ids.size())});
    data::write_document(model_test::runtime(), "ctds", document, folder_.path(name));
    return folder_.path(name);
  }

  TrainConfig config(std::vector<OwnedValue> training, const std::string &save_dir) const {
    TrainConfig config;
    config.model = model_test::model_config(kTiny);
    config.training = model_test::training(std::move(training));
    config.seed = 4;
    config.dataset = dataset_;
    config.val_dataset = val_dataset_;
    config.save_dir = folder_.path(save_dir);
    return config;
  }
  static TrainResult run(const TrainConfig &config, TrainObserver &observer,
                         run::Runtime &runtime = model_test::runtime()) {
    const std::unique_ptr<run::Session> session = runtime.open("reference", CALM_WORKLOAD_TRAIN);
    return train(runtime, *session, config, observer);
  }
  static TrainResult run(const TrainConfig &config) {
    TrainObserver silent;
    return run(config, silent);
  }
  static Error failure(const TrainConfig &config) {
    try {
      run(config);
    } catch (const Error &e) {
      return e;
    }
    return {CALM_OK, "nothing was thrown"};
  }

  static std::string newest(const std::string &save_dir) { return find_checkpoint(save_dir); }

  /// Everything a checkpoint holds, its metadata without the sums (which follow from the files).
  static std::string contents(const std::string &checkpoint) {
    std::string all = calm_test::read_bytes(checkpoint + "/metadata.json");
    for (const char *file : {"weights", "optimizer", "best", "gradients", "ewc_buffer"}) {
      const std::string path = checkpoint + "/" + file + ".safetensors";
      all += std::filesystem::exists(path) ? calm_test::read_bytes(path)
                                           : std::string(file) + " is not there";
    }
    return all;
  }

  /// Interrupts a run at `step`, goes on from what it left, and compares with one that was not.
  void expect_the_same(const TrainConfig &whole, std::uint64_t step, const std::string &name) {
    TrainConfig part = whole;
    part.save_dir = folder_.path(name);
    Interrupter interrupter(step);
    run::RuntimeOptions options = model_test::runtime_options(2);
    options.stop = &interrupter.flag;
    run::Runtime runtime(options);
    const TrainResult stopped = run(part, interrupter, runtime);
    ASSERT_TRUE(stopped.cancelled) << name;
    part.resume = newest(part.save_dir);
    EXPECT_EQ(stopped.checkpoint, part.resume);
    const TrainResult done = run(part);
    EXPECT_EQ(calm_test::read_bytes(done.model_path),
              calm_test::read_bytes(whole.save_dir + "/model.cwgt"))
        << name;
    EXPECT_EQ(contents(newest(part.save_dir)), contents(newest(whole.save_dir))) << name;
  }

  calm_test::TempFolder folder_;
  std::string dataset_;
  std::string val_dataset_;
};

}  // namespace calm::train
