#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "core/data/batch.hpp"
#include "core/run/model_file.hpp"
#include "core/train/evaluate.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/parse.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

struct Options {
  std::string model, dataset, weights;
};

int run_eval(Context &context, const Options &options) {
  run::LoadedModel loaded = run::load_model(context.runtime(), options.model);
  const data::Dataset dataset = data::read_dataset(context.runtime(), options.dataset);
  const auto evaluate = [&](const std::string &weights) {
    const std::unique_ptr<run::Session> session = context.open(CALM_WORKLOAD_BATCH, weights);
    return train::evaluate(context.runtime(), *session, loaded, dataset);
  };
  const std::string weights = context.weights(options.weights);
  const train::Evaluation result = evaluate(weights);
  // What it costs not to keep them as they are.
  std::optional<double> exact;
  if (weights != "fp32") {
    exact = evaluate("fp32").loss;
  }
  if (context.options.json) {
    Json json = {{"loss", result.loss},
                 {"bits_per_byte", result.bits_per_byte},
                 {"tokens", result.tokens},
                 {"sequences", result.sequences}};
    if (exact) {
      json["loss_fp32"] = *exact;
      json["loss_change"] = result.loss - *exact;
    }
    context.out.json(json);
    return 0;
  }
  context.out.line(fmt::format("loss           {:.6f} nats a token", result.loss));
  if (exact) {
    context.out.line(fmt::format("loss in fp32   {:.6f}", *exact));
    context.out.line(fmt::format("loss change    {:+.6f}", result.loss - *exact));
  }
  context.out.line(fmt::format("bits per byte  {:.6f}", result.bits_per_byte));
  context.out.line(fmt::format("tokens         {}", result.tokens));
  context.out.line(fmt::format("sequences      {}", result.sequences));
  return 0;
}

}  // namespace

void add_eval(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *verb = app.add_subcommand("eval", "loss of a model on a dataset");
  verb->add_option("-m,--model", options->model, "CWGT file")->required();
  verb->add_option("--dataset", options->dataset, "CTDS file")->required();
  add_weights_option(*verb, options->weights);
  verb->callback([options, &action] {
    action = [options](Context &context) { return run_eval(context, *options); };
  });
}

}  // namespace calm::cli
