#include <algorithm>
#include <cctype>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/train/config.hpp"
#include "core/train/dry_run.hpp"
#include "core/train/run_folder.hpp"
#include "core/train/train.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/progress.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

using train::Setting;

struct Options {
  std::string preset, config_file, dataset, val_dataset, save_dir, init_cwgt, resume;
  std::optional<std::string> objective, domain, template_spec, stop_conditions, max_time,
      export_which;
  std::optional<std::int64_t> epochs, batch_size, max_steps, val_every, save_every;
  std::optional<double> lr;
  std::optional<bool> shuffle;
  std::vector<std::string> set;
  bool weights_only = false, force = false, dry_run = false, print_config = false;
};

OwnedValue text(std::string_view key, const std::string &value) {
  return {std::string(key), CALM_VALUE_STR, 0, 0, value};
}
OwnedValue whole(std::string_view key, std::int64_t value) {
  return {std::string(key), CALM_VALUE_I64, value, 0, {}};
}

// Flags as settings on top of the file; --set comes last.
std::vector<Setting> overrides(const Options &options, const GlobalOptions &global) {
  std::vector<Setting> settings;
  const auto add_text = [&settings](const char *key, const char *flag,
                                    const std::optional<std::string> &value) {
    if (value) {
      settings.push_back({"", text(key, *value), flag});
    }
  };
  const auto add_whole = [&settings](const char *section, const char *key, const char *flag,
                                     const std::optional<std::int64_t> &value) {
    if (value) {
      settings.push_back({section, whole(key, *value), flag});
    }
  };
  add_text("objective", "--objective", options.objective);
  add_text("domain", "--domain", options.domain);
  add_text("template", "--template", options.template_spec);
  add_text("stop_conditions", "--stop-conditions", options.stop_conditions);
  add_text("max_time", "--max-time", options.max_time);
  add_text("export", "--export", options.export_which);
  add_whole("", "max_steps", "--max-steps", options.max_steps);
  add_whole("", "val_every", "--val-every", options.val_every);
  add_whole("", "save_every", "--save-every", options.save_every);
  add_whole("training", "epochs", "--epochs", options.epochs);
  add_whole("training", "batch_size", "--batch-size", options.batch_size);
  if (options.lr) {
    settings.push_back({"training", {"learning_rate", CALM_VALUE_F64, 0, *options.lr, {}}, "--lr"});
  }
  if (options.shuffle) {
    settings.push_back({"training",
                        {"shuffle", CALM_VALUE_BOOL, *options.shuffle ? 1 : 0, 0, {}},
                        *options.shuffle ? "--shuffle" : "--no-shuffle"});
  }
  if (global.seed) {
    settings.push_back({"", whole("seed", static_cast<std::int64_t>(*global.seed)), "--seed"});
  }
  for (const std::string &assignment : options.set) {
    settings.push_back(train::parse_setting(assignment, "--set"));
  }
  return settings;
}

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

int show_dry_run(Context &context, const train::TrainConfig &config) {
  const std::unique_ptr<run::Session> session = context.open(CALM_WORKLOAD_TRAIN);
  const train::DryRun dry = train::dry_run(context.runtime(), *session, config);
  if (context.options.json) {
    context.out.json({{"params", dry.params},
                      {"sequences", dry.sequences},
                      {"dropped", dry.dropped},
                      {"steps", dry.steps},
                      {"device_bytes", dry.device_bytes},
                      {"step_seconds", dry.step_seconds},
                      {"tokens_per_s", dry.tokens_per_s},
                      {"seconds", dry.seconds}});
    return 0;
  }
  context.out.line(fmt::format("parameters      {}", format_thousands(dry.params)));
  context.out.line(fmt::format("sequences       {} ({} dropped)", format_thousands(dry.sequences),
                               format_thousands(dry.dropped)));
  context.out.line(fmt::format("steps           {}", format_thousands(dry.steps)));
  context.out.line(fmt::format("device memory   {}", format_bytes(dry.device_bytes)));
  context.out.line(fmt::format("one step        {:.1f} ms, {} tokens/s", dry.step_seconds * 1e3,
                               format_count(dry.tokens_per_s)));
  context.out.line(fmt::format("estimated time  {}", format_duration(dry.seconds)));
  return 0;
}

void show_result(Context &context, const train::TrainResult &result) {
  if (!context.options.json) {
    context.out.untrusted(result.model_path);
    context.out.line("");
    return;
  }
  Json json = {{"model", result.model_path},
               {"steps", result.steps},
               {"train_loss", result.train_loss},
               {"best_val_loss", nullptr},
               {"cancelled", result.cancelled}};
  if (result.best_val_loss) {
    json["best_val_loss"] = *result.best_val_loss;
  }
  context.out.json(json);
}

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
  std::string command = fmt::format("calm train --resume {} --dataset {}", quoted(checkpoint),
                                    quoted(config.dataset));
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

int run_train(Context &context, const Options &options) {
  if (options.preset.empty() && options.config_file.empty() && options.init_cwgt.empty() &&
      options.resume.empty()) {
    throw Error(CALM_INVALID_ARGUMENT,
                "expected --preset NAME, --config FILE or --resume DIR (try calm train --help)");
  }
  train::ConfigRequest request;
  request.preset = options.preset;
  request.config_file = options.config_file;
  request.dataset = options.dataset;
  request.val_dataset = options.val_dataset;
  request.save_dir = options.save_dir;
  request.init_cwgt = options.init_cwgt;
  request.resume = options.resume;
  request.weights_only = options.weights_only;
  request.force = options.force;
  request.overrides = overrides(options, context.options);
  const train::TrainConfig config = train::resolve_config(context.runtime(), request);
  if (options.print_config) {
    context.out.untrusted(train::config_toml(config));
    return 0;
  }
  if (config.dataset.empty()) {
    throw Error(CALM_INVALID_ARGUMENT, "--dataset is required (try calm train --help)");
  }
  if (options.dry_run) {
    return show_dry_run(context, config);
  }
  const std::unique_ptr<run::Session> session = context.open(CALM_WORKLOAD_TRAIN);
  TrainProgress progress(context, config);
  train::RunFolder folder(config);
  Listeners listeners({&folder, &progress});
  const train::TrainResult result = train::train(context.runtime(), *session, config, listeners);
  show_result(context, result);
  if (result.cancelled) {
    log_warning("stopped by a signal after {} steps; {} holds the weights so far", result.steps,
                result.model_path);
    log_warning("to go on: {}", resume_command(config, result.checkpoint));
    return SignalScope::received() != 0 ? SignalScope::exit_code() : exit_code(CALM_CANCELLED);
  }
  return 0;
}

}  // namespace

void add_train(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *verb = app.add_subcommand("train", "train a model and export it");
  Options &o = *options;
  auto *preset = verb->add_option("--preset", o.preset, "nano, micro, mini or small");
  verb->add_option("--config", o.config_file, "configuration, TOML")->excludes(preset);
  verb->add_option("--dataset", o.dataset, "training data, CTDS");
  verb->add_option("--val-dataset", o.val_dataset, "validation data, CTDS");
  verb->add_option(
      "--save-dir", o.save_dir,
      "receives model.cwgt, config.toml, metrics.jsonl, checkpoints; ./runs/calm, or the "
      "folder of the run that goes on");
  verb->add_option("--objective", o.objective, "trainer plugin, next_token");
  auto *init = verb->add_option("--init-cwgt", o.init_cwgt, "start from these weights");
  auto *resume = verb->add_option("--resume", o.resume,
                                  "go on from a checkpoint, or from the newest of a run's folder");
  resume->excludes(init);
  verb->add_flag("--init-weights-only", o.weights_only, "take only the weights of --resume")
      ->needs(resume);
  verb->add_flag("--force", o.force, "resume with other data or settings")->needs(resume);
  verb->add_option("--epochs", o.epochs, "passes over the training data");
  verb->add_option("--lr", o.lr, "peak learning rate");
  verb->add_option("--batch-size", o.batch_size, "sequences a step");
  verb->add_flag_function(
      "--shuffle,!--no-shuffle", [options](std::int64_t times) { options->shuffle = times > 0; },
      "permute the sequences every epoch, or not");
  verb->add_option("--domain", o.domain, "what the model is for: template, stops, sampler");
  verb->add_option("--template", o.template_spec, "template DSL, instead of the domain's");
  verb->add_option("--stop-conditions", o.stop_conditions, "instead of the domain's");
  verb->add_option("--set", o.set, "KEY.PATH=VALUE, as in the configuration; repeatable")
      ->allow_extra_args(false);
  verb->add_option("--max-steps", o.max_steps, "end after so many updates")
      ->check(CLI::PositiveNumber);
  verb->add_option("--max-time", o.max_time, "end after 90s, 10m, 1h30m");
  verb->add_option("--val-every", o.val_every, "updates between validations");
  verb->add_option("--save-every", o.save_every, "updates between checkpoints");
  verb->add_option("--export", o.export_which, "best or last weights");
  verb->add_flag("--dry-run", o.dry_run, "run one step, print memory and time");
  verb->add_flag("--print-config", o.print_config, "print the resolved configuration");
  verb->callback([options, &action] {
    action = [options](Context &context) { return run_train(context, *options); };
  });
}

}  // namespace calm::cli
