#include "core/run/model_folder.hpp"

#include <algorithm>

#include <calm/cpp/error.hpp>

#include "core/run/weights_document.hpp"

namespace calm::run {

namespace {

constexpr std::string_view kPrefix = "model/";
constexpr std::string_view kTable = "token_emb.weight";
constexpr const char *kHead = "model/lm_head.weight";

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
  const std::string described = folder + "/" + Manifest::kName;
  if (!runtime.plugins().has("model", manifest.backbone)) {
    throw Error(CALM_CORRUPT_DATA, described +
                                       ": config.backbone: expected a model plugin that is "
                                       "there, found " +
                                       manifest.backbone);
  }
  const calm_model &backbone = runtime.plugins().model(manifest.backbone);
  LoadedModel loaded;
  const Values config = section_values(backbone.config, manifest.model, "model", described);
  try {
    loaded.model = std::make_unique<LanguageModel>(backbone, config, runtime.operators());
  } catch (const Error &e) {
    throw Error(e.status() == CALM_INVALID_ARGUMENT ? CALM_CORRUPT_DATA : e.status(),
                described + ": " + e.what());
  }
  loaded.weights = std::make_unique<Weights>(loaded.model->layout());
  verify_file(manifest, folder, manifest.weights_file);
  const std::string path = folder + "/" + manifest.weights_file;
  const data::Document document = data::read_document(runtime, path);
  check_names(document, *loaded.weights, path);
  take_weights(document, *loaded.weights, path, kPrefix);
  check_head(document, path);
  if (manifest.ewc && manifest.ewc->initialized) {
    loaded.ewc = take_ewc(document, loaded.model->layout(), path);
  }
  loaded.metadata = manifest.metadata;
  return loaded;
}

void add_folder_weights(data::Document &document, const Weights &weights) {
  add_weights(document, weights, kPrefix);
  data::DocumentTensor head = document.need(std::string(kPrefix) + std::string(kTable));
  head.name = kHead;
  document.tensors.push_back(std::move(head));
}

}  // namespace calm::run
