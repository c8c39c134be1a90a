#include <algorithm>
#include <cctype>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/value.hpp>

#include "core/data/document.hpp"
#include "core/run/buckets.hpp"
#include "core/run/manifest.hpp"
#include "core/run/model_file.hpp"
#include "core/run/stage.hpp"
#include "core/run/values.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

struct Options {
  std::string file;
  bool plan = false;
};

Json scalar(const OwnedValue &value) {
  switch (value.type) {
    case CALM_VALUE_I64:
      return value.i64;
    case CALM_VALUE_F64:
      return value.f64;
    case CALM_VALUE_BOOL:
      return value.i64 != 0;
    default:
      return value.text;
  }
}

Json shape_of(const calm_type &type) {
  Json shape = Json::array();
  for (std::uint32_t i = 0; i < type.rank; ++i) {
    shape.push_back(type.shape[i]);
  }
  return shape;
}

// As such formats spell it: "F32".
std::string dtype_of(const calm_type &type) {
  std::string name(dtype_name(type.dtype));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return name;
}

// A format that only holds tensors has free-form fields: they go into an object of their own, and
// the tensors are what there is to see. A model's and a dataset's tensors follow from its fields.
Json describe_file(const data::Document &document, std::uint32_t holds) {
  Json json = Json::object();  // made whole: a null one that turns into an object may be left torn
  json["format"] = document.format;
  const bool tensors_only = (holds & (CALM_FORMAT_MODEL | CALM_FORMAT_DATASET)) == 0;
  if (tensors_only) {
    json["metadata"] = Json::object();
  }
  Json sampler = Json::object();
  for (const OwnedValue &field : document.fields) {
    constexpr std::string_view kSampler = "sampler.";
    if (tensors_only) {
      json["metadata"][field.name] = scalar(field);
    } else if (field.name.compare(0, kSampler.size(), kSampler) == 0) {
      sampler[field.name.substr(kSampler.size())] = scalar(field);
    } else {
      json[field.name] = scalar(field);
    }
  }
  if ((holds & CALM_FORMAT_MODEL) != 0) {
    json["sampler"] = sampler;
  }
  if ((holds & CALM_FORMAT_DATASET) != 0) {
    json["tokens"] = elements(document.need("tokens").type);
  }
  if (tensors_only) {
    Json list = Json::array();
    for (const data::DocumentTensor &t : document.tensors) {
      list.push_back({{"name", t.name}, {"dtype", dtype_of(t.type)}, {"shape", shape_of(t.type)}});
    }
    json["tensors"] = list;
  }
  return json;
}

std::string plain(const Json &value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void print_pairs(Output &out, const Json &object, const std::string &prefix) {
  for (const auto &[key, value] : object.items()) {
    if (value.is_object()) {
      print_pairs(out, value, prefix + key + ".");
    } else if (!value.is_array()) {
      out.untrusted(fmt::format("{:<22} {}\n", prefix + key, plain(value)));
    }
  }
}

void print_tensors(Output &out, const data::Document &document) {
  for (const data::DocumentTensor &t : document.tensors) {
    out.untrusted(fmt::format("{:<40} {}\n", t.name, describe(t.type)));
  }
}

// The programs of generation, as the chosen backend got them.
void print_plan(Context &context, const std::string &path) {
  const run::LoadedModel loaded = run::load_model(context.runtime(), path);
  const std::unique_ptr<run::Session> session = context.open(CALM_WORKLOAD_DECODE);
  const std::int64_t rows = run::bucket_tokens(1);
  run::Buffer weights(*session, loaded.weights->flat().size_bytes());
  run::SlotBuffers shared{};
  run::slot_of(shared, graph::Slot::kWeights) = &weights;
  const auto print = [&context, &session, &shared](graph::Graph graph) {
    const run::Stage stage(*session, std::move(graph), shared);
    context.out.untrusted(stage.program().program().dump());
    context.out.untrusted(stage.program().info());
    context.out.line("");
  };
  print(loaded.model->prefill({rows, 1, std::min(rows, loaded.model->l_max())}));
  print(loaded.model->step(1));
}

Json values_json(const std::vector<OwnedValue> &values) {
  Json json = Json::object();
  for (const OwnedValue &v : values) {
    json[v.name] = scalar(v);
  }
  return json;
}

// A checkpoint or model folder: its files are verified, its tensors not read.
int info_folder(Context &context, const std::string &folder) {
  const run::Manifest m = run::read_manifest(folder);
  run::verify_files(m, folder);
  Json json = {{"format", m.checkpoint ? "checkpoint" : "model"},
               {"version", run::Manifest::kFormatVersion},
               {"backbone", m.backbone},
               {"objective", m.objective},
               {"domain", m.metadata.domain},
               {"template", m.metadata.template_spec},
               {"stop_conditions", m.metadata.stop_conditions},
               {"model", values_json(m.model)}};
  if (m.checkpoint) {
    const run::Manifest::Progress &p = m.progress;
    json["config"] = values_json(m.training);
    json["training"] = {{"epochs_done", p.current_epoch + 1},
                        {"global_step", p.global_step},
                        {"position", p.position},
                        {"patience_counter", p.patience_counter}};
    if (p.best_train_loss) {
      json["training"]["best_train_loss"] = *p.best_train_loss;
    }
    if (p.best_val_loss) {
      json["training"]["best_val_loss"] = *p.best_val_loss;
    }
    json["ewc"] = m.ewc.has_value();
  }
  for (const run::Manifest::File &f : m.files) {
    json["files"][f.name] = f.bytes;
  }
  if (context.options.json) {
    context.out.json(json);
  } else {
    print_pairs(context.out, json, "");
  }
  return 0;
}

int run_info(Context &context, const Options &options) {
  std::error_code none;  // what cannot be asked is no folder; opening it says why
  if (!options.plan && std::filesystem::exists(options.file + "/" + run::Manifest::kName, none)) {
    return info_folder(context, options.file);
  }
  if (options.plan) {
    print_plan(context, options.file);
    return 0;
  }
  const data::Document document = data::read_document(context.runtime(), options.file, false);
  const std::uint32_t holds = context.runtime().plugins().format(document.format).holds;
  const Json json = describe_file(document, holds);
  if (context.options.json) {
    context.out.json(json);
    return 0;
  }
  print_pairs(context.out, json, "");
  if ((holds & (CALM_FORMAT_MODEL | CALM_FORMAT_DATASET)) == 0 || context.options.verbose > 0) {
    print_tensors(context.out, document);
  }
  return 0;
}

}  // namespace

void add_info(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *verb = app.add_subcommand("info", "what a file of any known format holds");
  verb->add_option("file", options->file, "CWGT, CTDS, safetensors, or the folder of a checkpoint")
      ->required();
  verb->add_flag("--plan", options->plan, "print the compiled programs of a model");
  verb->callback([options, &action] {
    action = [options](Context &context) { return run_info(context, *options); };
  });
}

}  // namespace calm::cli
