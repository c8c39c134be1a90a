#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/data/batch.hpp"
#include "core/data/document.hpp"
#include "core/run/model_file.hpp"
#include "core/train/evaluate.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

struct Options {
  std::string model, dataset, output;
  train::ForwardOptions forward;
};

// Every parameter under its checkpoint name, in the checkpoint's layout.
void add_parameters(data::Document &document, const std::string &prefix,
                    const run::Weights &weights) {
  const auto &params = weights.layout().params();
  for (std::uint32_t i = 0; i < params.size(); ++i) {
    const std::span<const float> values = weights.of(i);
    data::DocumentTensor tensor{prefix + params[i].name, params[i].type, {}};
    tensor.type.dtype = CALM_F32;
    const auto *bytes = reinterpret_cast<const unsigned char *>(values.data());
    tensor.bytes.assign(bytes, bytes + values.size_bytes());
    document.tensors.push_back(std::move(tensor));
  }
}

int run_forward(Context &context, const Options &options) {
  run::LoadedModel loaded = run::load_model(context.runtime(), options.model);
  const data::Dataset dataset = data::read_dataset(context.runtime(), options.dataset);
  const bool trains = options.forward.gradients || options.forward.steps > 0;
  const std::unique_ptr<run::Session> session =
      context.open(trains ? CALM_WORKLOAD_TRAIN : CALM_WORKLOAD_BATCH);
  const train::ForwardResult result =
      train::forward(context.runtime(), *session, loaded, dataset, options.forward);

  data::Document document;
  const auto rows = static_cast<std::int64_t>(result.logits.size()) / run::LanguageModel::kVocab;
  document.add<float>("logits", result.logits, {rows, run::LanguageModel::kVocab});
  document.add<std::int32_t>("offsets", result.offsets,
                             {static_cast<std::int64_t>(result.offsets.size())});
  document.add<float>("loss", std::span(&result.loss, 1), {1});
  for (const run::Weights &gradients : result.gradients) {
    add_parameters(document, "grad/", gradients);
  }
  for (const run::Weights &after : result.after) {
    add_parameters(document, "after/", after);
  }
  data::write_document(context.runtime(), "safetensors", document, options.output);
  context.note(fmt::format("loss {:.6f}, {} rows of {} sequences -> {}", result.loss, rows,
                           dataset.size(), options.output));
  return 0;
}

}  // namespace

void add_forward(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *verb = app.add_subcommand("forward", "logits, loss and gradients as safetensors");
  Options &o = *options;
  verb->add_option("-m,--model", o.model, "CWGT file")->required();
  verb->add_option("--dataset", o.dataset, "CTDS file, one batch")->required();
  verb->add_option("-o,--output", o.output, "safetensors file")->required();
  verb->add_flag("--grads", o.forward.gradients, "gradients of the mean loss too");
  verb->add_option("--steps", o.forward.steps, "parameters after so many optimizer steps too")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40));
  verb->add_option("--lr", o.forward.lr, "of these steps")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->callback([options, &action] {
    action = [options](Context &context) { return run_forward(context, *options); };
  });
}

}  // namespace calm::cli
