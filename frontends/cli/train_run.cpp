#include "frontends/cli/train_run.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/train/run_folder.hpp"

namespace calm::cli {

namespace {

// Everybody who listens to one run.
class Listeners : public train::TrainObserver {
 public:
  explicit Listeners(std::vector<train::TrainObserver *> list) : list_(std::move(list)) {}
  void started(const Start &start) override {
    for (auto *l : list_) l->started(start);
  }
  void stepped(const train::StepMetrics &metrics) override {
    for (auto *l : list_) l->stepped(metrics);
  }
  void logged(const train::StepMetrics &metrics) override {
    for (auto *l : list_) l->logged(metrics);
  }
  void validated(const train::StepMetrics &metrics) override {
    for (auto *l : list_) l->validated(metrics);
  }
  void epoch_ended(const Epoch &epoch) override {
    for (auto *l : list_) l->epoch_ended(epoch);
  }
  void saved(const std::string &path) override {
    for (auto *l : list_) l->saved(path);
  }
  void stopping(const std::string &why) override {
    for (auto *l : list_) l->stopping(why);
  }

 private:
  std::vector<train::TrainObserver *> list_;
};

// As a shell takes it.
std::string quoted(const std::string &word) {
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::strchr("/._-+:=@%,", c) != nullptr;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) {
    return word;
  }
  std::string out = "'";
  for (const char c : word) {
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return out + "'";
}

std::string resume_command(const train::TrainConfig &config, const std::string &checkpoint) {
  std::string command = fmt::format("calm train --resume {} {} {}", quoted(checkpoint),
                                    config.pairs ? "--pairs" : "--dataset", quoted(config.dataset));
  if (!config.val_dataset.empty()) {
    command += " --val-dataset " + quoted(config.val_dataset);
  }
  if (config.val_every > 0) {
    command += fmt::format(" --val-every {}", config.val_every);
  }
  if (config.save_every > 0) {
    command += fmt::format(" --save-every {}", config.save_every);
  }
  return config.export_weights == train::Export::kLast ? command + " --export last" : command;
}

}  // namespace

void SettingList::put(std::string_view section, OwnedValue value, std::string_view flag) {
  list_.push_back({std::string(section), std::move(value), std::string(flag)});
}

void SettingList::add(std::string_view section, std::string_view key, std::string_view flag,
                      const std::optional<std::string> &value) {
  if (value) {
    put(section, {std::string(key), CALM_VALUE_STR, 0, 0, *value}, flag);
  }
}

void SettingList::add(std::string_view section, std::string_view key, std::string_view flag,
                      const std::optional<std::int64_t> &value) {
  if (value) {
    put(section, {std::string(key), CALM_VALUE_I64, *value, 0, {}}, flag);
  }
}

void SettingList::add(std::string_view section, std::string_view key, std::string_view flag,
                      const std::optional<double> &value) {
  if (value) {
    put(section, {std::string(key), CALM_VALUE_F64, 0, *value, {}}, flag);
  }
}

void SettingList::add(std::string_view section, std::string_view key, std::string_view flag,
                      const std::optional<bool> &value) {
  if (value) {
    put(section, {std::string(key), CALM_VALUE_BOOL, *value ? 1 : 0, 0, {}}, flag);
  }
}

void SettingList::add_seed(const GlobalOptions &global) {
  if (global.seed) {
    add("", "seed", "--seed", std::optional<std::int64_t>(*global.seed));
  }
}

train::TrainResult run_training(Context &context, run::Session &session,
                                const train::TrainConfig &config, train::TrainObserver &view) {
  train::RunFolder folder(config);
  Listeners listeners({&folder, &view});
  const train::TrainResult result = train::train(context.runtime(), session, config, listeners);
  folder.finish();
  return result;
}

int end_of_training(const train::TrainConfig &config, const train::TrainResult &result) {
  if (!result.cancelled) {
    return 0;
  }
  log_warning("stopped by a signal after {} steps; {} holds the weights so far", result.steps,
              result.model_path);
  log_warning("to go on: {}", resume_command(config, result.checkpoint));
  return SignalScope::received() != 0 ? SignalScope::exit_code() : exit_code(CALM_CANCELLED);
}

}  // namespace calm::cli
