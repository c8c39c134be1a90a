#include "core/run/manifest.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <calm/cpp/error.hpp>

#include "core/base/digest.hpp"
#include "core/base/file.hpp"
#include "core/run/json_node.hpp"
#include "core/text/tokenizer.hpp"

namespace calm::run {

namespace {

using Json = nlohmann::json;
using Node = JsonNode;

constexpr std::uint64_t kMaxBytes = 16 << 20;
constexpr int kMaxDepth = 64;

// A peer writes Python's JSON, in which numbers that are not finite are words. They become null,
// which every reader below takes for "none".
std::string standard_json(std::string_view text) {
  constexpr std::array<std::string_view, 3> kWords = {"-Infinity", "Infinity", "NaN"};
  std::string out;
  out.reserve(text.size());
  bool quoted = false;
  for (std::size_t i = 0; i < text.size();) {
    if (!quoted && (text[i] == '-' || text[i] == 'I' || text[i] == 'N')) {
      const auto word = std::find_if(kWords.begin(), kWords.end(), [&](std::string_view w) {
        return text.compare(i, w.size(), w) == 0;
      });
      if (word != kWords.end()) {
        out += "null";
        i += word->size();
        continue;
      }
    } else if (quoted && text[i] == '\\' && i + 1 < text.size()) {
      out += text.substr(i, 2);
      i += 2;
      continue;
    }
    quoted ^= text[i] == '"';
    out += text[i++];
  }
  return out;
}

// Files named inside a file lie beside it (promises.md).
std::string plain_name(const Node &node) {
  std::string name = node.text();
  if (name.empty() || name == "." || name == ".." || name.size() > 255 ||
      name.find('/') != std::string::npos || name.find('\0') != std::string::npos) {
    refuse_json(node.key(), "the name of a file in this folder", shown(node.json()));
  }
  return name;
}

std::vector<OwnedValue> section(const Node &config, const char *name) {
  std::vector<OwnedValue> values;
  if (!config.has(name)) {
    return values;
  }
  for (const auto &[key, value] : config.object(name).json().items()) {
    OwnedValue v{key, CALM_VALUE_NONE, 0, 0, {}};
    if (value.is_boolean()) {
      v.type = CALM_VALUE_BOOL;
      v.i64 = value.get<bool>() ? 1 : 0;
    } else if (value.is_number_integer()) {
      v.type = CALM_VALUE_I64;
      v.i64 = Node(value, fmt::format("config.{}.{}", name, key))
                  .whole(std::numeric_limits<std::int64_t>::min());
    } else if (value.is_number()) {
      v.type = CALM_VALUE_F64;
      v.f64 = value.get<double>();
    } else if (value.is_string()) {
      v.type = CALM_VALUE_STR;
      v.text = value.get<std::string>();
    } else if (value.is_null()) {
      continue;
    } else {
      refuse_json(fmt::format("config.{}.{}", name, key), "a number, a text, true or false",
                  shown(value));
    }
    values.push_back(std::move(v));
  }
  return values;
}

Json section_json(const std::vector<OwnedValue> &values) {
  Json json = Json::object();
  for (const OwnedValue &v : values) {
    switch (v.type) {
      case CALM_VALUE_BOOL:
        json[v.name] = v.i64 != 0;
        break;
      case CALM_VALUE_I64:
        json[v.name] = v.i64;
        break;
      case CALM_VALUE_F64:
        json[v.name] = v.f64;
        break;
      default:
        json[v.name] = v.text;
    }
  }
  return json;
}

template <class T>
void put(Json &json, const char *name, const std::optional<T> &value) {
  if (value) {
    json[name] = *value;
  }
}

Json metadata_json(const ModelMetadata &m) {
  Json json = {{"domain", m.domain},
               {"template", m.template_spec},
               {"stop_conditions", m.stop_conditions},
               {"sampler", Json::object()}};
  Json &sampler = json["sampler"];
  put(sampler, "temperature", m.sampler.temperature);
  put(sampler, "top_k", m.sampler.top_k);
  put(sampler, "top_p", m.sampler.top_p);
  put(sampler, "min_p", m.sampler.min_p);
  put(sampler, "max_tokens", m.sampler.max_tokens);
  put(sampler, "candidates", m.sampler.candidates);
  return json;
}

ModelMetadata metadata_from(const Node &node) {
  ModelMetadata m;
  m.domain = node.text_or("domain", {});
  m.template_spec = node.text_or("template", {});
  m.stop_conditions = node.text_or("stop_conditions", {});
  if (node.has("sampler")) {
    const Node sampler = node.object("sampler");
    m.sampler.temperature = sampler.real_if("temperature");
    m.sampler.top_k = sampler.whole_if("top_k");
    m.sampler.top_p = sampler.real_if("top_p");
    m.sampler.min_p = sampler.real_if("min_p");
    m.sampler.max_tokens = sampler.whole_if("max_tokens");
    m.sampler.candidates = sampler.whole_if("candidates");
  }
  return m;
}

// What cannot be said in JSON is left out, and read back as what it was.
std::optional<double> if_finite(const std::optional<double> &value) {
  return value && std::isfinite(*value) ? value : std::nullopt;
}

Json progress_json(const Manifest::Progress &p) {
  Json json = {{"current_epoch", p.current_epoch},
               {"global_step", p.global_step},
               {"patience_counter", p.patience_counter},
               {"position", p.position},
               {"accumulated", p.accumulated},
               {"loss_count", p.loss_count},
               {"refused", p.refused},
               {"dataset", p.dataset}};
  put(json, "best_train_loss", if_finite(p.best_train_loss));
  put(json, "best_val_loss", if_finite(p.best_val_loss));
  put(json, "loss_sum", if_finite(p.loss_sum));
  put(json, "exported", if_finite(p.exported));
  put(json, "val_loss", if_finite(p.val_loss));
  put(json, "validated_step", p.validated_step);
  if (!p.val_dataset.empty()) {
    json["val_dataset"] = p.val_dataset;
  }
  return json;
}

Manifest::Progress progress_from(const Node &node) {
  Manifest::Progress p;
  p.current_epoch = node.need("current_epoch").whole(-1);
  p.global_step = node.need("global_step").count();
  p.patience_counter = node.has("patience_counter") ? node.need("patience_counter").whole() : 0;
  p.best_train_loss = node.real_if("best_train_loss");
  p.best_val_loss = node.real_if("best_val_loss");
  p.position = node.count_or("position", 0);
  p.accumulated = static_cast<std::int64_t>(node.count_or("accumulated", 0));
  p.loss_count = node.count_or("loss_count", 0);
  // Absent where there were losses: it was not finite.
  p.loss_sum = node.real_if("loss_sum")
                   .value_or(p.loss_count == 0 ? 0.0 : std::numeric_limits<double>::quiet_NaN());
  p.refused = static_cast<std::int64_t>(node.count_or("refused", 0));
  p.exported = node.real_if("exported");
  if (node.has("validated_step")) {
    p.validated_step = node.need("validated_step").count();
    p.val_loss = node.real_if("val_loss").value_or(std::numeric_limits<double>::quiet_NaN());
  }
  p.dataset = node.text_or("dataset", {});
  p.val_dataset = node.text_or("val_dataset", {});
  return p;
}

Json optimizer_json(const Manifest::Optimizer &optimizer) {
  Json groups = Json::array();
  for (const Manifest::Optimizer::Group &g : optimizer.groups) {
    groups.push_back({{"weight_decay", g.weight_decay},
                      {"lr", g.lr},
                      {"betas", {g.beta1, g.beta2}},
                      {"eps", g.eps},
                      {"params", g.params}});
  }
  return {{"class_name", "AdamW"},
          {"filename", optimizer.filename},
          {"step", optimizer.step},
          {"groups", groups}};
}

Manifest::Optimizer optimizer_from(const Node &node) {
  Manifest::Optimizer optimizer;
  if (const std::string name = node.text_or("class_name", "AdamW"); name != "AdamW") {
    refuse_json(node.key() + ".class_name", "AdamW", shown(name));
  }
  optimizer.filename = plain_name(node.need("filename"));
  optimizer.step = node.count_or("step", 0);
  if (!node.has("groups")) {
    return optimizer;
  }
  const Node groups = node.need("groups");
  if (!groups.json().is_array()) {
    refuse_json(groups.key(), "a list", shown(groups.json()));
  }
  for (std::size_t i = 0; i < groups.json().size(); ++i) {
    const Node g(groups.json()[i], fmt::format("{}[{}]", groups.key(), i));
    if (!g.json().is_object()) {
      refuse_json(g.key(), "an object", shown(g.json()));
    }
    Manifest::Optimizer::Group group;
    group.weight_decay = g.real_if("weight_decay").value_or(0);
    group.lr = g.real_if("lr").value_or(0);
    group.eps = g.real_if("eps").value_or(group.eps);
    if (g.has("betas")) {
      const Json &betas = g.need("betas").json();
      if (!betas.is_array() || betas.size() != 2) {
        refuse_json(g.key() + ".betas", "two numbers", shown(betas));
      }
      group.beta1 = Node(betas[0], g.key() + ".betas[0]").real();
      group.beta2 = Node(betas[1], g.key() + ".betas[1]").real();
    }
    optimizer.groups.push_back(std::move(group));
  }
  return optimizer;
}

// With the hyperparameters a second time, and where the tensors are, as a peer wants it (spec M.5).
Json ewc_json(const Manifest &m) {
  Json json = section_json(m.continual);
  json.erase("method");
  json["initialized"] = m.ewc->initialized;
  Json fisher = Json::object(), anchor = Json::object();
  for (const Manifest::Optimizer::Group &group : m.optimizer.groups) {
    for (const std::string &name : m.ewc->initialized ? group.params : std::vector<std::string>()) {
      fisher[name] = {{"__tensor__", "ewc/fisher/" + name}};
      anchor[name] = {{"__tensor__", "ewc/theta_star/" + name}};
    }
  }
  json["fisher"] = std::move(fisher);
  json["theta_star"] = std::move(anchor);
  return json;
}

ManifestEwc ewc_from(const Node &root) {
  ManifestEwc ewc;
  const Node state = root.object("ewc_state");
  if (state.has("initialized")) {
    const Json &initialized = state.need("initialized").json();
    if (!initialized.is_boolean()) {
      refuse_json("ewc_state.initialized", "true or false", shown(initialized));
    }
    ewc.initialized = initialized.get<bool>();
  }
  if (root.has("ewc_buffer")) {
    const Node buffer = root.object("ewc_buffer");
    ewc.buffer_file = plain_name(buffer.need("filename"));
    ewc.buffer_count = buffer.need("count").count();
  }
  return ewc;
}

// Spec A.10: readers compare it with their own.
Json tokenizer_json() {
  Json specials = Json::object();
  for (text::Token id = text::kPad; !text::special_name(id).empty(); ++id) {
    specials[std::to_string(id)] = fmt::format("<{}>", text::special_name(id));
  }
  return {{"name", "calm"},
          {"vocab_size", text::kVocabSize},
          {"pad_id", text::kPad},
          {"special_tokens", specials}};
}

Json parse(std::string_view text) {
  try {
    return Json::parse(standard_json(text), [](int depth, Json::parse_event_t, Json &) {
      if (depth > kMaxDepth) {
        throw Error(CALM_CORRUPT_DATA,
                    fmt::format("expected at most {} levels of nesting, found more", kMaxDepth));
      }
      return true;
    });
  } catch (const Json::exception &e) {
    throw Error(CALM_CORRUPT_DATA, fmt::format("expected JSON, found an error: {}", e.what()));
  }
}

std::vector<Manifest::File> files_from(const Node &files) {
  std::vector<Manifest::File> list;
  for (const auto &[name, value] : files.json().items()) {
    const Node file(value, files.key() + "." + name);
    if (!value.is_object()) {
      refuse_json(file.key(), "an object", shown(value));
    }
    list.push_back({plain_name(Node(Json(name), files.key())), file.need("bytes").count(),
                    file.need("sha256").text()});
  }
  return list;
}

Manifest manifest_from(const Node &root) {
  Manifest m;
  if (!root.json().is_object()) {
    refuse_json("offset 0", "an object", shown(root.json()));
  }
  const std::string type = root.need("type").text();
  if (type != "checkpoint" && type != "model") {
    refuse_json("type", "checkpoint or model", shown(type));
  }
  m.checkpoint = type == "checkpoint";
  if (const std::int64_t version = root.need("format_version").whole();
      version != Manifest::kFormatVersion) {
    throw Error(
        version > Manifest::kFormatVersion ? CALM_VERSION : CALM_CORRUPT_DATA,
        fmt::format("format_version: expected {}, found {}", Manifest::kFormatVersion, version));
  }
  if (root.has("tokenizer")) {
    if (const std::string name = root.object("tokenizer").need("name").text(); name != "calm") {
      refuse_json("tokenizer.name", "calm", shown(name));
    }
  }
  const Node config = root.object("config");
  m.backbone = config.text_or("backbone", m.backbone);
  m.objective = config.text_or("objective", m.objective);
  m.model = section(config, "model");
  m.training = section(config, "training");
  m.continual = section(config, "continual");
  if (root.has("seed")) {
    m.seed = root.need("seed").count();
  }
  if (root.has("metadata")) {
    m.metadata = metadata_from(root.object("metadata"));
  }
  if (root.has("files")) {
    m.files = files_from(root.object("files"));
  }
  if (!m.checkpoint) {
    return m;
  }
  m.progress = progress_from(root.object("training"));
  m.optimizer = optimizer_from(root.object("optimizer"));
  if (!root.object("optimizer").has("step")) {
    m.optimizer.step = m.progress.global_step;
  }
  if (root.has("ewc_state")) {
    m.ewc = ewc_from(root);
  }
  return m;
}

}  // namespace

std::string manifest_text(const Manifest &m) {
  Json json = {{"type", m.checkpoint ? "checkpoint" : "model"},
               {"format_version", Manifest::kFormatVersion},
               {"tokenizer", tokenizer_json()},
               {"config",
                {{"backbone", m.backbone},
                 {"objective", m.objective},
                 {"model", section_json(m.model)},
                 {"training", section_json(m.training)}}},
               {"metadata", metadata_json(m.metadata)}};
  if (!m.continual.empty()) {
    json["config"]["continual"] = section_json(m.continual);
  }
  put(json, "seed", m.seed);
  Json files = Json::object();
  for (const Manifest::File &f : m.files) {
    files[f.name] = {{"bytes", f.bytes}, {"sha256", f.sha256}};
  }
  json["files"] = files;
  if (m.checkpoint) {
    json["training"] = progress_json(m.progress);
    json["optimizer"] = optimizer_json(m.optimizer);
    json["ewc_state"] = m.ewc ? ewc_json(m) : Json(nullptr);
    if (m.ewc) {
      json["ewc_buffer"] = {{"filename", m.ewc->buffer_file}, {"count", m.ewc->buffer_count}};
    }
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Manifest parse_manifest(std::string_view text) {
  const Json json = parse(text);
  return manifest_from(Node(json, {}));
}

Manifest read_manifest(const std::string &folder) {
  const std::string path = folder + "/" + Manifest::kName;
  const std::string text = read_text(path, kMaxBytes);
  try {
    return parse_manifest(text);
  } catch (const Error &e) {
    throw Error(e.status(), path + ": " + e.what());
  }
}

void verify_file(const Manifest &manifest, const std::string &folder, std::string_view name) {
  const auto f = std::find_if(manifest.files.begin(), manifest.files.end(),
                              [&](const Manifest::File &file) { return file.name == name; });
  if (f == manifest.files.end()) {
    return;
  }
  const std::string path = folder + "/" + f->name;
  if (const std::uint64_t bytes = InputFile(path).size(); bytes != f->bytes) {
    throw Error(CALM_CORRUPT_DATA,
                fmt::format("{}: expected {} bytes, found {}", path, f->bytes, bytes));
  }
  if (const std::string sum = sha256_of_file(path); sum != f->sha256) {
    throw Error(CALM_CORRUPT_DATA,
                fmt::format("{}: expected the SHA-256 {}, found {}", path, f->sha256, sum));
  }
}

void verify_files(const Manifest &manifest, const std::string &folder) {
  for (const Manifest::File &f : manifest.files) {
    verify_file(manifest, folder, f.name);
  }
}

}  // namespace calm::run
