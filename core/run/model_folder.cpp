#include "core/run/model_folder.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/digest.hpp"
#include "core/base/file.hpp"
#include "core/run/weights_document.hpp"

namespace calm::run {

namespace {

constexpr std::string_view kPrefix = "model/";
constexpr std::string_view kTable = "token_emb.weight";
constexpr const char *kHead = "model/lm_head.weight";
constexpr const char *kDescription = "calm.metadata";  // of a lone safetensors file: its manifest

// The head is the embedding (spec E.1), so a file that says something else is of another model.
void check_head(const data::Document &document, const std::string &path) {
  const data::DocumentTensor *head = document.tensor(kHead);
  if (head != nullptr && head->bytes != document.need("model/token_emb.weight").bytes) {
    throw Error(CALM_CORRUPT_DATA, path + ": tensor " + kHead +
                                       ": expected the numbers of model/token_emb.weight (tied "
                                       "weights), found others");
  }
}

void check_names(const data::Document &document, const Weights &weights, const std::string &path) {
  for (const data::DocumentTensor &t : document.tensors) {
    const bool ours = t.name.compare(0, kPrefix.size(), kPrefix) == 0;
    if (ours && t.name != kHead &&
        weights.layout().find(std::string_view(t.name).substr(kPrefix.size())) == CALM_NONE) {
      throw Error(CALM_CORRUPT_DATA,
                  path + ": expected the parameters of config.model, found tensor " + t.name);
    }
  }
}

// The model that a manifest describes, its weights zero. `place` names the manifest in errors.
LoadedModel described_model(Runtime &runtime, const Manifest &manifest, const std::string &place) {
  if (!runtime.plugins().has("model", manifest.backbone)) {
    throw Error(CALM_CORRUPT_DATA, place +
                                       ": config.backbone: expected a model plugin that is "
                                       "there, found " +
                                       manifest.backbone);
  }
  const calm_model &backbone = runtime.plugins().model(manifest.backbone);
  LoadedModel loaded;
  const Values config = section_values(backbone.config, manifest.model, "model", place);
  try {
    loaded.model = std::make_unique<LanguageModel>(backbone, config, runtime.operators());
  } catch (const Error &e) {
    throw Error(e.status() == CALM_INVALID_ARGUMENT ? CALM_CORRUPT_DATA : e.status(),
                place + ": " + e.what());
  }
  loaded.weights = std::make_unique<Weights>(loaded.model->layout());
  loaded.metadata = manifest.metadata;
  return loaded;
}

void take_parameters(const data::Document &document, const std::string &path, Weights &weights) {
  check_names(document, weights, path);
  take_weights(document, weights, path, kPrefix);
  check_head(document, path);
}

Manifest description(const LoadedModel &loaded, const std::string &backbone) {
  Manifest manifest;
  manifest.checkpoint = false;
  manifest.backbone = backbone;
  manifest.model = loaded.model->config().list();
  manifest.metadata = loaded.metadata;
  return manifest;
}

}  // namespace

Values section_values(const calm_table &schema, const std::vector<OwnedValue> &given,
                      std::string_view section, const std::string &path) {
  std::vector<OwnedValue> known;
  for (std::uint32_t i = 0; i < schema.count; ++i) {
    const std::string name = copy(record<calm_value_spec>(schema, i).name);
    const auto it = std::find_if(given.begin(), given.end(),
                                 [&](const OwnedValue &v) { return v.name == name; });
    if (it != given.end()) {
      known.push_back(*it);
    }
  }
  try {
    return Values::resolve(schema, known, section);
  } catch (const Error &e) {
    throw Error(e.status() == CALM_INVALID_ARGUMENT ? CALM_CORRUPT_DATA : e.status(),
                path + ": config." + e.what());
  }
}

LoadedModel load_model_folder(Runtime &runtime, const std::string &folder,
                              const Manifest &manifest) {
  LoadedModel loaded = described_model(runtime, manifest, folder + "/" + Manifest::kName);
  verify_file(manifest, folder, manifest.weights_file);
  const std::string path = folder + "/" + manifest.weights_file;
  const data::Document document = data::read_document(runtime, path);
  take_parameters(document, path, *loaded.weights);
  if (manifest.ewc && manifest.ewc->initialized) {
    loaded.ewc = take_ewc(document, loaded.model->layout(), path);
  }
  return loaded;
}

LoadedModel load_model_tensors(Runtime &runtime, const data::Document &document,
                               const std::string &path) {
  const OwnedValue *described = document.field(kDescription);
  if (described == nullptr || described->type != CALM_VALUE_STR) {
    throw Error(CALM_CORRUPT_DATA,
                fmt::format("{}: expected the metadata key {}, which says what the tensors are, "
                            "found none; tensors alone are a model in a folder with {}",
                            path, kDescription, Manifest::kName));
  }
  const std::string place = path + ": " + kDescription;
  Manifest manifest;
  try {
    manifest = parse_manifest(described->text);
  } catch (const Error &e) {
    throw Error(e.status(), fmt::format("{}: {}", place, e.what()));
  }
  LoadedModel loaded = described_model(runtime, manifest, place);
  take_parameters(document, path, *loaded.weights);
  if (document.tensor("ewc/fisher/" + std::string(kTable)) != nullptr) {
    loaded.ewc = take_ewc(document, loaded.model->layout(), path);
  }
  return loaded;
}

void save_model_folder(Runtime &runtime, const LoadedModel &loaded, const std::string &backbone,
                       const std::string &path) {
  Manifest manifest = description(loaded, backbone);
  OutputFolder folder(path);
  data::Document weights;
  add_folder_weights(weights, *loaded.weights);
  write_hashed(runtime, folder, manifest.weights_file, weights, manifest);
  write_manifest(folder, manifest);
  folder.publish();
}

void save_model_tensors(Runtime &runtime, const LoadedModel &loaded, const std::string &backbone,
                        const std::string &path) {
  data::Document document;
  document.fields.push_back(
      {kDescription, CALM_VALUE_STR, 0, 0, manifest_text(description(loaded, backbone))});
  add_folder_weights(document, *loaded.weights);
  add_ewc(document, loaded.ewc);
  data::write_document(runtime, "safetensors", document, path);
}

void write_hashed(Runtime &runtime, const OutputFolder &folder, const std::string &name,
                  const data::Document &document, Manifest &manifest) {
  OutputFile file(folder.file(name));
  Sha256 sum;
  data::encode_document(runtime, "safetensors", document,
                        [&](const void *bytes, std::uint64_t count) {
                          file.write(bytes, count);
                          sum.add(bytes, count);
                          return CALM_OK;
                        });
  file.publish();
  manifest.files.push_back({name, file.bytes(), sum.hex()});
}

void write_manifest(const OutputFolder &folder, const Manifest &manifest) {
  OutputFile file(folder.file(Manifest::kName));
  const std::string text = manifest_text(manifest);
  file.write(text.data(), text.size());
  file.publish();
}

void add_folder_weights(data::Document &document, const Weights &weights) {
  add_weights(document, weights, kPrefix);
  data::DocumentTensor head = document.need(std::string(kPrefix) + std::string(kTable));
  head.name = kHead;
  document.tensors.push_back(std::move(head));
}

}  // namespace calm::run
