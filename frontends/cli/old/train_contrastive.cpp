#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "frontends/cli/old/train.hpp"

namespace calm::cli {

namespace {

struct Options : OldTrainOptions {
  std::string pairs;
  std::optional<double> temperature;
  std::optional<std::string> pool_mode;
};

// Spec N.2 and I.15: the defaults below are for what neither preset nor file says; a preset's own
// epochs, batch and rate win over them.
int run_contrastive(Context &context, const Options &options) {
  if (options.config_file.empty() && options.preset.empty() && options.init_cwgt.empty() &&
      options.resume.empty()) {
    throw Error(CALM_INVALID_ARGUMENT,
                "expected --config FILE, --preset NAME, --init-cwgt FILE or --resume DIR");
  }
  train::ConfigRequest request = old_request(options);
  request.dataset = options.pairs;
  request.default_domain = "netref";
  const auto whole = [](const char *key, std::int64_t value) {
    return train::Setting{"training", {key, CALM_VALUE_I64, value, 0, {}}, "default"};
  };
  request.defaults.push_back(whole("epochs", 5));
  request.defaults.push_back(whole("batch_size", 16));
  request.defaults.push_back(
      {"training", {"learning_rate", CALM_VALUE_F64, 0, 1e-4, {}}, "default"});
  SettingList settings = old_settings(options, context.options);
  settings.add("", "objective", "calm-train-contrastive",
               std::optional<std::string>("contrastive"));
  settings.add("training", "temperature", "--temperature", options.temperature);
  settings.add("training", "pool_mode", "--pool-mode", options.pool_mode);
  request.overrides = settings.take();
  return run_old_training(context, request, true);
}

}  // namespace

void declare_old_train_contrastive(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  Options &o = *options;
  declare_old_training(app, o, "./runs/contrastive");
  app.add_option("--pairs", o.pairs, "pairs of a query and a passage, text")->required();
  app.add_option("--temperature", o.temperature, "of the similarities, 0.07");
  app.add_option("--pool-mode", o.pool_mode, "mean or last; mean")
      ->check(CLI::IsMember({"mean", "last"}));
  action = [options](Context &context) { return run_contrastive(context, *options); };
}

}  // namespace calm::cli
