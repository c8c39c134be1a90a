#include "frontends/cli/old/train.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "frontends/cli/old/train_lines.hpp"

namespace calm::cli {

namespace {

struct Options : OldTrainOptions {
  std::string dataset, val_dataset;
  std::optional<bool> shuffle;
};

// As the old programs say it: "cpu", or the kind of another device.
std::string device_word(const run::Session &session) {
  calm_device device{};
  calm_error error{};
  const bool asked = session.backend().device(0, &device, &error) == CALM_OK;
  return asked && (device.memory == 0 || view(device.name) == "cpu") ? "cpu" : session.name();
}

// Spec N.1.
int run_old_train(Context &context, const Options &options) {
  if (options.config_file.empty() && options.preset.empty()) {
    throw Error(CALM_INVALID_ARGUMENT, "expected --config FILE or --preset NAME");
  }
  train::ConfigRequest request = old_request(options);
  request.dataset = options.dataset;
  request.val_dataset = options.val_dataset;
  SettingList settings = old_settings(options, context.options);
  settings.add("training", "shuffle", options.shuffle.value_or(true) ? "--shuffle" : "--no-shuffle",
               options.shuffle);
  request.overrides = settings.take();
  return run_old_training(context, request, false);
}

}  // namespace

void declare_old_training(CLI::App &app, OldTrainOptions &o, const char *save_dir) {
  app.add_option("--config", o.config_file, "configuration, YAML or TOML; wins over --preset");
  app.add_option("--preset", o.preset, "nano, micro, mini or small")
      ->check(CLI::IsMember({"nano", "micro", "mini", "small"}));
  o.save_dir = save_dir;
  app.add_option("--save-dir", o.save_dir, "receives model.cwgt and checkpoints")
      ->capture_default_str();
  app.add_option("--epochs", o.epochs, "passes over the training data");
  app.add_option("--lr", o.lr, "peak learning rate");
  app.add_option("--batch-size", o.batch_size, "samples a step");
  app.add_option("--init-cwgt", o.init_cwgt, "start from these weights");
  app.add_option("--resume", o.resume, "go on from a checkpoint");
  app.add_flag("--resume-weights-only", o.weights_only, "take only the weights of --resume");
  app.add_flag("--force", o.force, "resume with other data or settings");
  app.add_option("--domain", o.domain, "what the model is for: template, stops, sampler");
  app.add_option("--template", o.template_spec, "template DSL, instead of the domain's");
  app.add_option("--stop-conditions", o.stop_conditions, "instead of the domain's");
}

SettingList old_settings(const OldTrainOptions &o, const GlobalOptions &global) {
  SettingList list;
  list.add("training", "epochs", "--epochs", o.epochs);
  list.add("training", "batch_size", "--batch-size", o.batch_size);
  list.add("training", "learning_rate", "--lr", o.lr);
  list.add("", "domain", "--domain", o.domain);
  list.add("", "template", "--template", o.template_spec);
  list.add("", "stop_conditions", "--stop-conditions", o.stop_conditions);
  list.add_seed(global);
  return list;
}

train::ConfigRequest old_request(const OldTrainOptions &o) {
  if (!o.init_cwgt.empty() && !o.resume.empty()) {
    throw Error(CALM_INVALID_ARGUMENT, "--init-cwgt and --resume exclude each other");
  }
  train::ConfigRequest request;
  request.config_file = o.config_file;
  request.preset = o.config_file.empty() ? o.preset : std::string();
  request.save_dir = o.save_dir;
  request.init_cwgt = o.init_cwgt;
  request.resume = o.resume;
  request.weights_only = o.weights_only;
  request.force = o.force;
  request.prefer_yaml = true;
  request.any_domain = true;
  // The last weights, unless the file says otherwise (ruling P.3).
  request.defaults = {{"", {"export", CALM_VALUE_STR, 0, 0, "last"}, "default"}};
  return request;
}

int run_old_training(Context &context, const train::ConfigRequest &request, bool pairs) {
  if (!request.init_cwgt.empty()) {
    context.out.untrusted("Initializing from CWGT: " + request.init_cwgt + "\n");
  } else if (!request.resume.empty()) {
    context.out.untrusted("Resuming from: " + request.resume + "\n");
  }
  const train::TrainConfig config = train::resolve_config(context.runtime(), request);
  const std::unique_ptr<run::Session> session = context.open(CALM_WORKLOAD_TRAIN);
  TrainLines lines(context.out, config, device_word(*session), pairs);
  const train::TrainResult result = run_training(context, *session, config, lines);
  lines.finish(result);
  return end_of_training(config, result);
}

void declare_old_train(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  Options &o = *options;
  declare_old_training(app, o, "./runs/calm");
  app.add_option("--dataset", o.dataset, "training data, CTDS")->required();
  app.add_option("--val-dataset", o.val_dataset, "validation data, CTDS");
  app.add_flag_function(
      "--shuffle,!--no-shuffle", [options](std::int64_t times) { options->shuffle = times > 0; },
      "permute the sequences every epoch, or not");
  action = [options](Context &context) { return run_old_train(context, *options); };
}

}  // namespace calm::cli
