#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/data/document.hpp"
#include "core/train/train.hpp"
#include "tests/core/model_fixture.hpp"
#include "tests/core/temp_folder.hpp"

namespace calm::train {

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

  calm_test::TempFolder folder_;
  std::string dataset_;
  std::string val_dataset_;
};

}  // namespace calm::train
