#include "frontends/cli/train_run.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <exception>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/train/fitting_batch.hpp"
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
  if (config.precision != "fp32") {
    command += " --precision " + config.precision;
  }
  return config.export_weights == train::Export::kLast ? command + " --export last" : command;
}

// Knows the newest checkpoint.
class Checkpoints : public train::TrainObserver {
 public:
  explicit Checkpoints(std::string resumed) : newest(std::move(resumed)) {}
  void saved(const std::string &path) override { newest = path; }

  std::string newest;  ///< empty: none
};

// Another time, or elsewhere, it may go well.
bool can_be_retried(const Error &e) { return exit_code(e.status()) == exit_code(CALM_DEVICE_LOST); }

}  // namespace

std::string batch_advice(Context &context, run::Session &session, const train::TrainConfig &config,
                         const Error &failure) {
  if (failure.status() != CALM_OUT_OF_MEMORY || context.ranks().several()) {
    return {};
  }
  try {
    const std::optional<std::int64_t> fitting =
        train::fitting_batch(context.runtime(), session, config);
    if (!fitting) {
      return {};
    }
    const std::string asked = std::to_string(config.training.integer("batch_size"));
    return *fitting == 0 ? "; not even --batch-size 1 would fit"
                         : fmt::format("; --batch-size {} would fit, {} does not", *fitting, asked);
  } catch (const std::exception &) {
    return {};  // what failed first is what counts
  }
}

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
  if (!context.ranks().first()) {
    return train::train(context.runtime(), session, config, view);
  }
  train::RunFolder folder(config);
  Checkpoints checkpoints(config.weights_only ? std::string() : config.resume);
  Listeners listeners({&folder, &checkpoints, &view});
  try {
    train::TrainResult result = train::train(context.runtime(), session, config, listeners);
    folder.finish();
    return result;
  } catch (const comm::PeerFailed &e) {
    if (can_be_retried(e) && !checkpoints.newest.empty()) {
      log_warning("to go on: {}", resume_command(config, checkpoints.newest));
    }
    throw;  // the other rank says what it was
  } catch (const Error &e) {
    if (!can_be_retried(e)) {
      throw;
    }
    std::string text = e.what() + batch_advice(context, session, config, e);
    if (checkpoints.newest.empty()) {
      text += "; there is no checkpoint yet";
    } else {
      text += "; the last good checkpoint is " + checkpoints.newest;
      log_warning("to go on: {}", resume_command(config, checkpoints.newest));
    }
    throw Error(e.status(), text);
  }
}

int end_of_training(const train::TrainConfig &config, const train::TrainResult &result) {
  if (!result.cancelled) {
    return 0;
  }
  log_warning("stopped by a signal after {} steps; {} holds the weights so far", result.steps,
              result.model_path);
  log_warning("to go on: {}", resume_command(config, result.checkpoint));
  return 128 + result.signal;
}

}  // namespace calm::cli
