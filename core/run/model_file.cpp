#include "core/run/model_file.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <calm/cpp/error.hpp>

#include "core/run/model_folder.hpp"
#include "core/run/weights_document.hpp"

namespace calm::run {

namespace {

constexpr std::string_view kBackbone = "mamba";  // the only one CWGT describes

// Header field of the file <-> key of the backbone's configuration.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kShape = {{
    {"d_model", "d_model"},
    {"n_layers", "n_layers"},
    {"l_max", "l_max"},
    {"ffn_expand", "ffn_expand"},
    {"expand", "mamba_expand"},
    {"d_state", "mamba_d_state"},
    {"d_conv", "mamba_d_conv"},
    {"dt_rank", "mamba_dt_rank"},
}};

OwnedValue field(std::string_view name, std::int64_t i) {
  return {std::string(name), CALM_VALUE_I64, i, 0, {}};
}
OwnedValue field(std::string_view name, double f) {
  return {std::string(name), CALM_VALUE_F64, 0, f, {}};
}
OwnedValue field(std::string_view name, std::string_view text) {
  return {std::string(name), CALM_VALUE_STR, 0, 0, std::string(text)};
}

data::Document header(const LanguageModel &model, const ModelMetadata &metadata) {
  // The header has no field for it: a reader assumes the default (spec E.3, K.1).
  constexpr double kEpsilon = 1e-5;
  if (model.config().real("layer_norm_epsilon") != kEpsilon) {
    throw Error(CALM_INVALID_ARGUMENT,
                "model.layer_norm_epsilon: expected 1e-05, the only value a CWGT file can say, "
                "found " +
                    to_text(model.config().at("layer_norm_epsilon")));
  }
  data::Document document;
  for (const auto &[in_file, key] : kShape) {
    document.fields.push_back(field(in_file, model.config().integer(key)));
  }
  document.fields.push_back(field("vocab_size", LanguageModel::kVocab));
  document.fields.push_back(field("domain", metadata.domain));
  document.fields.push_back(field("template", metadata.template_spec));
  document.fields.push_back(field("stop_conditions", metadata.stop_conditions));
  const auto add = [&document](const char *name, const auto &setting) {
    if (setting) {
      document.fields.push_back(field(name, *setting));
    }
  };
  const SamplerDefaults &s = metadata.sampler;
  add("sampler.temperature", s.temperature);
  add("sampler.top_k", s.top_k);
  add("sampler.top_p", s.top_p);
  add("sampler.min_p", s.min_p);
  add("sampler.max_tokens", s.max_tokens);
  add("sampler.candidates", s.candidates);
  return document;
}

template <class T>
std::optional<T> number(const data::Document &document, std::string_view name) {
  const OwnedValue *found = document.field(name);
  if (found == nullptr) {
    return std::nullopt;
  }
  return static_cast<T>(found->type == CALM_VALUE_F64 ? found->f64
                                                      : static_cast<double>(found->i64));
}

std::string text(const data::Document &document, std::string_view name) {
  const OwnedValue *found = document.field(name);
  return found == nullptr ? std::string() : found->text;
}

template <class T>
std::optional<T> unless_zero(T value) {
  return value == T{} ? std::nullopt : std::optional<T>(value);
}

// A checkpoint or model folder has a manifest; a run's folder has the model that the run exported.
LoadedModel load_folder(Runtime &runtime, const std::string &folder) {
  // What cannot be looked at is opened, and refused there by name.
  std::error_code ignored;
  const auto there = [&](const char *name) {
    return std::filesystem::exists(folder + "/" + name, ignored);
  };
  if (there(Manifest::kName) || !there("model.cwgt")) {
    return load_model_folder(runtime, folder, read_manifest(folder));
  }
  return load_model(runtime, folder + "/model.cwgt");
}

}  // namespace

ModelMetadata domain_metadata(Runtime &runtime, std::string_view domain) {
  ModelMetadata metadata;
  metadata.domain = domain;
  if (!runtime.plugins().has("domain", domain)) {
    return metadata;
  }
  const calm_domain &plugin = runtime.plugins().domain(domain);
  metadata.template_spec = copy(plugin.template_spec);
  metadata.stop_conditions = copy(plugin.stop_conditions);
  if (plugin.sampler == nullptr) {
    return metadata;
  }
  calm_sampler_defaults s{};  // an older plugin's record may be shorter
  std::memcpy(&s, plugin.sampler, std::min<std::size_t>(plugin.sampler->size, sizeof s));
  metadata.sampler.temperature = unless_zero(s.temperature);
  metadata.sampler.top_p = unless_zero(s.top_p);
  metadata.sampler.min_p = unless_zero(s.min_p);
  metadata.sampler.top_k = unless_zero(std::int64_t{s.top_k});
  metadata.sampler.max_tokens = unless_zero(std::int64_t{s.max_tokens});
  metadata.sampler.candidates = unless_zero(std::int64_t{s.candidates});
  return metadata;
}

LoadedModel make_model(Runtime &runtime, std::string_view backbone, const Values &config,
                       std::uint64_t seed) {
  LoadedModel loaded;
  loaded.model = std::make_unique<LanguageModel>(runtime.plugins().model(backbone), config,
                                                 runtime.operators());
  loaded.weights = std::make_unique<Weights>(loaded.model->layout());
  loaded.weights->initialise(seed);
  return loaded;
}

LoadedModel load_model(Runtime &runtime, const std::string &path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return load_folder(runtime, path);
  }
  const data::Document document = data::read_document(runtime, path);
  if (document.format == "safetensors") {
    return load_model_tensors(runtime, document, path);
  }
  if (document.field("d_model") == nullptr) {
    throw Error(CALM_CORRUPT_DATA, path + ": expected a model (cwgt), found " + document.format);
  }
  std::vector<OwnedValue> given;
  given.reserve(kShape.size());
  for (const auto &[in_file, key] : kShape) {
    given.push_back(field(key, number<std::int64_t>(document, in_file).value_or(0)));
  }
  LoadedModel loaded;
  try {
    const calm_model &backbone = runtime.plugins().model(kBackbone);
    loaded.model = std::make_unique<LanguageModel>(
        backbone, Values::resolve(backbone.config, given, "model"), runtime.operators());
  } catch (const Error &e) {
    if (e.status() != CALM_INVALID_ARGUMENT) {
      throw;
    }
    throw Error(CALM_CORRUPT_DATA, path + ": " + e.what());
  }
  loaded.weights = std::make_unique<Weights>(loaded.model->layout());
  take_weights(document, *loaded.weights, path);
  if (const OwnedValue *ewc = document.field("ewc"); ewc != nullptr && ewc->i64 != 0) {
    loaded.ewc = take_ewc(document, loaded.model->layout(), path);
  }
  loaded.metadata.domain = text(document, "domain");
  loaded.metadata.template_spec = text(document, "template");
  loaded.metadata.stop_conditions = text(document, "stop_conditions");
  SamplerDefaults &s = loaded.metadata.sampler;
  s.temperature = number<double>(document, "sampler.temperature");
  s.top_p = number<double>(document, "sampler.top_p");
  s.min_p = number<double>(document, "sampler.min_p");
  s.top_k = number<std::int64_t>(document, "sampler.top_k");
  s.max_tokens = number<std::int64_t>(document, "sampler.max_tokens");
  s.candidates = number<std::int64_t>(document, "sampler.candidates");
  return loaded;
}

void save_model(Runtime &runtime, const LanguageModel &model, const Weights &weights,
                const ModelMetadata &metadata, const std::string &path, const EwcWeights &ewc) {
  data::Document document = header(model, metadata);
  add_weights(document, weights);
  add_ewc(document, ewc);
  data::write_document(runtime, "cwgt", document, path);
}

void check_savable(Runtime &runtime, const LanguageModel &model, const ModelMetadata &metadata) {
  // Writes a model of zeros nowhere: the format judges exactly what it would judge at the end.
  data::Document document = header(model, metadata);
  add_weights(document, Weights(model.layout()));
  data::encode_document(runtime, "cwgt", document,
                        [](const void *, std::uint64_t) { return CALM_OK; });
}

}  // namespace calm::run
