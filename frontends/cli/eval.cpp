#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "core/data/batch.hpp"
#include "core/run/model_file.hpp"
#include "core/train/evaluate.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

struct Options {
  std::string model, dataset;
};

int run_eval(Context &context, const Options &options) {
  run::LoadedModel loaded = run::load_model(context.runtime(), options.model);
  const data::Dataset dataset = data::read_dataset(context.runtime(), options.dataset);
  const std::unique_ptr<run::Session> session = context.open(CALM_WORKLOAD_BATCH);
  const train::Evaluation result = train::evaluate(context.runtime(), *session, loaded, dataset);
  if (context.options.json) {
    context.out.json({{"loss", result.loss},
                      {"bits_per_byte", result.bits_per_byte},
                      {"tokens", result.tokens},
                      {"sequences", result.sequences}});
    return 0;
  }
  context.out.line(fmt::format("loss           {:.6f} nats a token", result.loss));
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
  verb->callback([options, &action] {
    action = [options](Context &context) { return run_eval(context, *options); };
  });
}

}  // namespace calm::cli
