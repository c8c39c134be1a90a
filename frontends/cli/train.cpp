#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/train/config.hpp"
#include "core/train/dry_run.hpp"
#include "core/train/train.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/progress.hpp"
#include "frontends/cli/train_run.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

using train::Setting;

struct Options {
  std::string preset, config_file, dataset, pairs, val_dataset, save_dir, init_cwgt, resume;
  std::optional<std::string> objective, domain, template_spec, stop_conditions, max_time,
      export_which, pool_mode, precision;
  std::optional<std::int64_t> epochs, batch_size, max_steps, val_every, save_every;
  std::optional<double> lr, temperature;
  std::optional<bool> shuffle;
  std::vector<std::string> set;
  bool export_ewc = false, weights_only = false, force = false, dry_run = false,
       print_config = false;
};

// Flags as settings on top of the file; --set comes last.
std::vector<Setting> overrides(const Options &options, const GlobalOptions &global) {
  SettingList list;
  list.add("", "objective", "--objective", options.objective);
  list.add("", "domain", "--domain", options.domain);
  list.add("", "template", "--template", options.template_spec);
  list.add("", "stop_conditions", "--stop-conditions", options.stop_conditions);
  list.add("", "max_time", "--max-time", options.max_time);
  list.add("", "export", "--export", options.export_which);
  list.add("", "export_ewc", "--export-ewc",
           options.export_ewc ? std::optional(true) : std::nullopt);
  list.add("", "precision", "--precision", options.precision);
  list.add("", "max_steps", "--max-steps", options.max_steps);
  list.add("", "val_every", "--val-every", options.val_every);
  list.add("", "save_every", "--save-every", options.save_every);
  list.add("training", "epochs", "--epochs", options.epochs);
  list.add("training", "batch_size", "--batch-size", options.batch_size);
  list.add("training", "learning_rate", "--lr", options.lr);
  list.add("training", "shuffle", options.shuffle.value_or(true) ? "--shuffle" : "--no-shuffle",
           options.shuffle);
  list.add("training", "temperature", "--temperature", options.temperature);
  list.add("training", "pool_mode", "--pool-mode", options.pool_mode);
  list.add_seed(global);
  std::vector<Setting> settings = list.take();
  for (const std::string &assignment : options.set) {
    settings.push_back(train::parse_setting(assignment, "--set"));
  }
  return settings;
}

int show_dry_run(Context &context, const train::TrainConfig &config) {
  const std::unique_ptr<run::Session> session =
      context.open(CALM_WORKLOAD_TRAIN, "fp32", config.precision);
  const train::DryRun dry = [&] {
    try {
      return train::dry_run(context.runtime(), *session, config);
    } catch (const Error &e) {
      const std::string advice = batch_advice(context, *session, config, e);
      if (advice.empty()) {
        throw;
      }
      throw Error(e.status(), e.what() + advice);
    }
  }();
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

// The objective decides which of the two it trains on.
void expect_samples(const train::TrainConfig &config, const Options &options) {
  const char *flag = config.pairs ? "--pairs" : "--dataset";
  if (!(config.pairs ? options.pairs : options.dataset).empty()) {
    return;
  }
  if (config.dataset.empty()) {
    throw Error(CALM_INVALID_ARGUMENT, fmt::format("{} is required (try calm train --help)", flag));
  }
  throw Error(CALM_INVALID_ARGUMENT,
              fmt::format("objective {}: expected {}, found {}", config.objective, flag,
                          config.pairs ? "--dataset" : "--pairs"));
}

// What is trained, as every rank finds it; nothing where another one says why not.
train::TrainConfig configure(Context &context, const Options &options) {
  if (options.preset.empty() && options.config_file.empty() && options.init_cwgt.empty() &&
      options.resume.empty()) {
    throw Error(CALM_INVALID_ARGUMENT,
                "expected --preset NAME, --config FILE or --resume DIR (try calm train --help)");
  }
  train::ConfigRequest request;
  request.preset = options.preset;
  request.config_file = options.config_file;
  request.dataset = options.pairs.empty() ? options.dataset : options.pairs;
  request.val_dataset = options.val_dataset;
  request.save_dir = options.save_dir;
  request.init_cwgt = options.init_cwgt;
  request.resume = options.resume;
  request.weights_only = options.weights_only;
  request.force = options.force;
  request.overrides = overrides(options, context.options);
  train::TrainConfig config = train::resolve_config(context.runtime(), request);
  if (!options.print_config) {
    expect_samples(config, options);
  }
  if (options.dry_run && context.ranks().several()) {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("--dry-run: expected one process, found {}", context.ranks().count()));
  }
  return config;
}

int run_train(Context &context, const Options &options) {
  const comm::Ranks ranks = context.ranks();
  train::TrainConfig config;
  std::unique_ptr<run::Session> session;
  ranks.together([&] {
    config = configure(context, options);
    if (!options.print_config && !options.dry_run) {
      session = context.open(CALM_WORKLOAD_TRAIN, "fp32", config.precision);
    }
  });
  if (options.print_config) {
    if (ranks.first()) {
      context.out.untrusted(train::config_toml(config));
    }
    return 0;
  }
  if (options.dry_run) {
    return show_dry_run(context, config);
  }
  if (!ranks.first()) {
    train::TrainObserver silent;
    return end_of_training(config, run_training(context, *session, config, silent));
  }
  TrainProgress progress(context, config);
  const train::TrainResult result = run_training(context, *session, config, progress);
  show_result(context, result);
  return end_of_training(config, result);
}

}  // namespace

void add_train(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *verb = app.add_subcommand("train", "train a model and export it");
  verb->footer(
      "mpirun -n N calm train ... trains on N processes that share every batch, for the result of "
      "one; "
      "sequences only, no pairs.");
  Options &o = *options;
  auto *preset = verb->add_option("--preset", o.preset, "nano, micro, mini or small");
  verb->add_option("--config", o.config_file, "configuration, TOML")->excludes(preset);
  auto *dataset = verb->add_option("--dataset", o.dataset, "training data, CTDS");
  verb->add_option("--pairs", o.pairs, "training data of objective contrastive, text")
      ->excludes(dataset);
  verb->add_option("--val-dataset", o.val_dataset, "validation data, CTDS");
  verb->add_option(
      "--save-dir", o.save_dir,
      "receives model.cwgt, config.toml, metrics.jsonl, checkpoints; ./runs/calm, or the "
      "folder of the run that goes on");
  verb->add_option("--objective", o.objective,
                   "next_token, contrastive, or another trainer plugin");
  verb->add_option("--temperature", o.temperature, "of objective contrastive: divides the cosines");
  verb->add_option("--pool-mode", o.pool_mode, "of objective contrastive: mean or last")
      ->check(CLI::IsMember({"mean", "last"}));
  auto *init = verb->add_option("--init-cwgt", o.init_cwgt, "start from these weights");
  auto *resume = verb->add_option("--resume", o.resume,
                                  "go on from a checkpoint, or from the newest of a run's folder");
  resume->excludes(init);
  verb->add_flag("--init-weights-only", o.weights_only, "take only the weights of --resume")
      ->needs(resume);
  verb->add_flag("--force", o.force, "resume with other data or settings")->needs(resume);
  verb->add_option("--epochs", o.epochs, "passes over the training data");
  verb->add_option("--lr", o.lr, "peak learning rate");
  verb->add_option("--batch-size", o.batch_size, "sequences a step, of all processes together");
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
  verb->add_flag("--export-ewc", o.export_ewc,
                 "add Fisher information: a later run with online EWC keeps what the model knows");
  verb->add_option("--precision", o.precision,
                   "what products multiply, where the backend can: fp32, tf32 or bf16; sums stay "
                   "fp32")
      ->option_text("KIND");
  verb->add_flag("--dry-run", o.dry_run, "run one step, print memory and time");
  verb->add_flag("--print-config", o.print_config, "print the resolved configuration");
  verb->callback([options, &action] {
    action = [options](Context &context) {
      return context.on_ranks([&] { return run_train(context, *options); });
    };
  });
}

}  // namespace calm::cli
