#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "frontends/cli/old/old_name.hpp"
#include "frontends/cli/train_run.hpp"

// What calm-train and calm-train-contrastive share.
namespace calm::cli {

struct OldTrainOptions {
  std::string preset, config_file, save_dir, init_cwgt, resume;
  std::optional<std::string> domain, template_spec, stop_conditions;
  std::optional<std::int64_t> epochs, batch_size;
  std::optional<double> lr;
  bool weights_only = false, force = false;
};

/// The flags both have. `save_dir` is the default.
void declare_old_training(CLI::App &app, OldTrainOptions &options, const char *save_dir);

/// Settings of these flags, with the seed.
SettingList old_settings(const OldTrainOptions &options, const GlobalOptions &global);

/// A request with these flags, checked as spec N.1 wants: --init-cwgt and --resume exclude each
/// other, --config wins over --preset.
train::ConfigRequest old_request(const OldTrainOptions &options);

/// Says what the run starts from, trains and prints (I.13, I.15). The exit code.
int run_old_training(Context &context, const train::ConfigRequest &request, bool pairs);

}  // namespace calm::cli
