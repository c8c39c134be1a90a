#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/train/config.hpp"
#include "core/train/train.hpp"
#include "frontends/cli/context.hpp"

// What `calm train` and the old names of it share.
namespace calm::cli {

/// Flags as settings: those that were given, in the order they were added.
class SettingList {
 public:
  void add(std::string_view section, std::string_view key, std::string_view flag,
           const std::optional<std::string> &value);
  void add(std::string_view section, std::string_view key, std::string_view flag,
           const std::optional<std::int64_t> &value);
  void add(std::string_view section, std::string_view key, std::string_view flag,
           const std::optional<double> &value);
  void add(std::string_view section, std::string_view key, std::string_view flag,
           const std::optional<bool> &value);
  void add_seed(const GlobalOptions &global);
  std::vector<train::Setting> take() { return std::move(list_); }

 private:
  void put(std::string_view section, OwnedValue value, std::string_view flag);

  std::vector<train::Setting> list_;
};

/// "" unless `failure` is that memory ended and a smaller batch would help: then what to say of it
/// after the message. Needs the memory of what failed back.
std::string batch_advice(Context &context, run::Session &session, const train::TrainConfig &config,
                         const Error &failure);

/// Trains, with the files of the run's folder; `view` shows the run. A failure that can be retried
/// (code 75) names the newest checkpoint, and what batch would fit where memory ended.
train::TrainResult run_training(Context &context, run::Session &session,
                                const train::TrainConfig &config, train::TrainObserver &view);

/// The exit code; after a signal it says how to go on.
int end_of_training(const train::TrainConfig &config, const train::TrainResult &result);

}  // namespace calm::cli
