#include "core/train/config.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/base/suggest.hpp"
#include "core/run/model_folder.hpp"
#include "core/text/template.hpp"
#include "core/train/checkpoint.hpp"
#include "core/train/config_file.hpp"
#include "core/train/resume_config.hpp"

namespace calm::train {

namespace {

constexpr double kMaxCount = 9.2e18;  // below the largest 64-bit integer

// Keys at the top of a configuration. 0 and the empty text mean "not given" where there is no
// default.
constexpr calm_value_spec kTopKeys[] = {
    spec_str("backbone", "mamba"),
    spec_str("objective", "next_token"),
    spec_str("domain", ""),
    spec_str("template", ""),
    spec_str("stop_conditions", ""),
    spec_i64("seed", 0, 0, kMaxCount),
    spec_i64("max_steps", 0, 0, kMaxCount),
    spec_str("max_time", ""),
    spec_i64("val_every", 0, 0, kMaxCount),
    spec_i64("save_every", 0, 0, kMaxCount),
    spec_str("export", "best"),
    spec_bool("export_ewc", false),
    spec_str("precision", "fp32"),
};

// Ranges of the CWGT header (spec K.1); 0 = not set.
constexpr calm_value_spec kSamplerKeys[] = {
    spec_f64("temperature", 0, 0, 65.535), spec_i64("top_k", 0, 0, 65535),
    spec_f64("top_p", 0, 0, 65.535),       spec_f64("min_p", 0, 0, 65.535),
    spec_i64("max_tokens", 0, 0, 65535),   spec_i64("candidates", 0, 0, 255),
};

// Takes the settings of one section, the last of each name; every one is checked on its own first,
// so a message can name the place where it was said.
std::vector<OwnedValue> take_section(const std::vector<Setting> &settings, std::string_view section,
                                     const calm_table &schema) {
  std::vector<calm_value_spec> relaxed;
  for (std::uint32_t i = 0; i < schema.count; ++i) {
    relaxed.push_back(record<calm_value_spec>(schema, i));
    relaxed.back().required = 0;
  }
  std::vector<OwnedValue> taken;
  for (const Setting &s : settings) {
    if (s.section != section) {
      continue;
    }
    try {
      run::Values::resolve(table(relaxed), std::span(&s.value, 1), section);
    } catch (const Error &e) {
      std::string_view message = e.what();
      message.remove_prefix(section.empty() ? 1 : 0);  // the dot between section and key
      throw Error(e.status(), fmt::format("{}: {}", s.origin, message));
    }
    const auto it = std::find_if(taken.begin(), taken.end(),
                                 [&](const OwnedValue &v) { return v.name == s.value.name; });
    if (it == taken.end()) {
      taken.push_back(s.value);
    } else {
      *it = s.value;
    }
  }
  return taken;
}

void check_sections(const std::vector<Setting> &settings) {
  const std::vector<std::string> known = {"model", "training", "continual", "sampler"};
  for (const Setting &s : settings) {
    if (!s.section.empty() && std::find(known.begin(), known.end(), s.section) == known.end()) {
      throw Error(CALM_INVALID_ARGUMENT, fmt::format("{}: unknown section [{}]{}", s.origin,
                                                     s.section, did_you_mean(s.section, known)));
    }
  }
}

void add_records(std::vector<Setting> &settings, std::string_view section, const calm_table &values,
                 const std::string &origin) {
  for (std::uint32_t i = 0; i < values.count; ++i) {
    settings.push_back({std::string(section), own(record<calm_value>(values, i)), origin});
  }
}

std::vector<Setting> preset_settings(const calm_model &backbone, const std::string &name) {
  std::vector<Setting> settings;
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < backbone.presets.count; ++i) {
    const auto &preset = record<calm_preset>(backbone.presets, i);
    names.push_back(copy(preset.name));
    if (names.back() == name) {
      add_records(settings, "model", preset.model, "preset " + name);
      add_records(settings, "training", preset.training, "preset " + name);
      return settings;
    }
  }
  throw Error(CALM_INVALID_ARGUMENT,
              fmt::format("--preset {}: expected one of {}{}", name, fmt::join(names, ", "),
                          did_you_mean(name, names)));
}

run::Values resolve_section(const std::vector<Setting> &settings, const calm_table &schema,
                            std::string_view section, const std::string &config_file) {
  const std::vector<OwnedValue> given = take_section(settings, section, schema);
  try {
    return run::Values::resolve(schema, given, section);
  } catch (const Error &e) {
    // Only a missing key is left.
    throw Error(e.status(),
                config_file.empty() ? std::string(e.what()) : config_file + ": " + e.what());
  }
}

std::optional<EwcOptions> resolve_ewc(const std::vector<Setting> &settings,
                                      const std::string &config_file) {
  const run::Values section = resolve_section(settings, continual_keys(), "continual", config_file);
  try {
    return ewc_options(section);
  } catch (const Error &e) {
    throw Error(e.status(),
                config_file.empty() ? std::string(e.what()) : config_file + ": " + e.what());
  }
}

void check_model(const calm_model &backbone, const run::Values &model) {
  const std::vector<calm_value> records = model.records();
  calm_error error{};
  check(backbone.check(records.data(), static_cast<std::uint32_t>(records.size()), &error), error,
        "model");
}

// A name no plugin knows is a typo, unless something else than the plugin says what it stands for.
void check_domain(run::Runtime &runtime, const std::string &domain, const std::string &origin,
                  bool has_template) {
  const std::vector<std::string> known = runtime.plugins().ids("domain");
  if (std::find(known.begin(), known.end(), domain) != known.end()) {
    runtime.plugins().require_one("domain", domain);
    return;
  }
  const std::string hint = did_you_mean(domain, known);
  if (!has_template || !hint.empty()) {
    throw Error(CALM_INVALID_ARGUMENT, fmt::format("{}: unknown domain \"{}\"{}; known: {}", origin,
                                                   domain, hint, fmt::join(known, ", ")));
  }
}

std::string origin_of(const std::vector<Setting> &settings, std::string_view key) {
  std::string origin(key);
  for (const Setting &s : settings) {
    if (s.section.empty() && s.value.name == key) {
      origin = s.origin;
    }
  }
  return origin;
}

// What no prompt could be built from is found out before training, not after; the old names only
// warn, as the reference takes any text.
void check_template(const std::string &spec, const std::string &origin, bool only_warn) {
  try {
    text::parse_template(spec);
  } catch (const Error &e) {
    const std::string message = fmt::format("{}: {}", origin, e.what());
    if (!only_warn) {
      throw Error(e.status(), message);
    }
    log_warning("{}", message);
  }
}

// Spec N.1 with its fixes. `file` is what --init-cwgt carries, or null.
run::ModelMetadata resolve_metadata(run::Runtime &runtime, const std::vector<Setting> &settings,
                                    const run::Values &top, const run::ModelMetadata *file,
                                    const ConfigRequest &request) {
  const std::string asked = top.at("domain").text;
  std::string domain = asked;
  if (domain.empty() && file != nullptr) {
    domain = file->domain;
  }
  if (domain.empty() && runtime.plugins().has("domain", request.default_domain)) {
    domain = request.default_domain;
  }
  const std::string &template_spec = top.at("template").text;
  if (!asked.empty() && !(file != nullptr && file->domain == asked)) {
    try {
      check_domain(runtime, asked, origin_of(settings, "domain"), !template_spec.empty());
    } catch (const Error &e) {
      if (!request.any_domain || runtime.plugins().has("domain", asked)) {
        throw;
      }
      log_warning("{}; it brings no template, stop conditions or sampler defaults", e.what());
    }
  }
  run::ModelMetadata metadata = run::domain_metadata(runtime, domain);
  if (file != nullptr) {
    if (!file->template_spec.empty()) {
      metadata.template_spec = file->template_spec;
    }
    if (!file->stop_conditions.empty()) {
      metadata.stop_conditions = file->stop_conditions;
    }
    if (asked.empty() && file->sampler.any()) {
      metadata.sampler = file->sampler;
    }
  }
  if (!template_spec.empty()) {
    check_template(template_spec, origin_of(settings, "template"), request.any_domain);
    metadata.template_spec = template_spec;
  }
  if (!top.at("stop_conditions").text.empty()) {
    metadata.stop_conditions = top.at("stop_conditions").text;
  }
  const std::vector<OwnedValue> sampler = take_section(
      settings, "sampler", {kSamplerKeys, std::size(kSamplerKeys), sizeof kSamplerKeys[0]});
  const auto real = [](const OwnedValue &v) {
    const double x = v.type == CALM_VALUE_I64 ? static_cast<double>(v.i64) : v.f64;
    return x == 0 ? std::nullopt : std::optional<double>(x);
  };
  const auto whole = [](const OwnedValue &v) {
    return v.i64 == 0 ? std::nullopt : std::optional<std::int64_t>(v.i64);
  };
  run::SamplerDefaults &s = metadata.sampler;
  for (const OwnedValue &v : sampler) {
    if (v.name == "temperature") {
      s.temperature = real(v);
    } else if (v.name == "top_p") {
      s.top_p = real(v);
    } else if (v.name == "min_p") {
      s.min_p = real(v);
    } else if (v.name == "top_k") {
      s.top_k = whole(v);
    } else if (v.name == "max_tokens") {
      s.max_tokens = whole(v);
    } else {
      s.candidates = whole(v);
    }
  }
  return metadata;
}

void take_limits(TrainConfig &config, const std::vector<Setting> &settings,
                 const run::Values &top) {
  config.seed = static_cast<std::uint64_t>(top.integer("seed"));
  if (const std::int64_t steps = top.integer("max_steps"); steps > 0) {
    config.max_steps = static_cast<std::uint64_t>(steps);
  }
  if (const std::string &time = top.at("max_time").text; !time.empty()) {
    try {
      config.max_seconds = parse_seconds(time);
    } catch (const Error &e) {
      throw Error(e.status(), origin_of(settings, "max_time") + ": " + e.what());
    }
  }
  config.val_every = static_cast<std::uint64_t>(top.integer("val_every"));
  config.save_every = static_cast<std::uint64_t>(top.integer("save_every"));
  const std::string &which = top.at("export").text;
  if (which != "best" && which != "last") {
    throw Error(CALM_INVALID_ARGUMENT, fmt::format("{}: export: expected best or last, found {}",
                                                   origin_of(settings, "export"), which));
  }
  config.export_weights = which == "best" ? Export::kBest : Export::kLast;
  config.export_ewc = top.flag("export_ewc");
  config.precision = top.at("precision").text;
  if (config.precision != "fp32" && config.precision != "tf32" && config.precision != "bf16") {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("{}: precision: expected fp32, tf32 or bf16, found {}",
                            origin_of(settings, "precision"), config.precision));
  }
}

// A run that goes on does so where it stood; one that only takes weights is a new one.
std::string save_dir_of(const ConfigRequest &request, const std::string &checkpoint) {
  if (!request.save_dir.empty()) {
    return request.save_dir;
  }
  const std::string own = request.weights_only ? std::string() : run_folder_of(checkpoint);
  return own.empty() ? "./runs/calm" : own;
}

}  // namespace

TrainConfig resolve_config(run::Runtime &runtime, const ConfigRequest &request) {
  TrainConfig config;
  std::optional<run::Manifest> checkpoint;
  std::vector<Setting> settings;
  if (!request.config_file.empty()) {
    settings = read_settings(request.config_file, request.prefer_yaml);
  }
  if (!request.resume.empty()) {
    config.resume = find_checkpoint(request.resume);
    checkpoint = run::read_manifest(config.resume);
    if (request.config_file.empty() && request.preset.empty()) {
      settings = checkpoint_settings(*checkpoint, runtime.plugins().trainer(checkpoint->objective),
                                     config.resume);
    }
  }
  settings.insert(settings.begin(), request.defaults.begin(), request.defaults.end());
  settings.insert(settings.end(), request.overrides.begin(), request.overrides.end());
  check_sections(settings);
  // Durations may be plain numbers too.
  for (Setting &s : settings) {
    if (s.section.empty() && s.value.name == "max_time" && s.value.type != CALM_VALUE_STR) {
      s.value = {"max_time", CALM_VALUE_STR, 0, 0, run::to_text(s.value)};
    }
  }

  const run::Values top = resolve_section(
      settings, {kTopKeys, std::size(kTopKeys), sizeof kTopKeys[0]}, "", request.config_file);
  config.backbone = top.at("backbone").text;
  config.objective = top.at("objective").text;
  for (const Setting &s : settings) {
    if (s.section.empty() && (s.value.name == "backbone" || s.value.name == "objective")) {
      runtime.plugins().require_one(s.value.name == "backbone" ? "model" : "trainer", s.value.text);
    }
  }
  config.dataset = request.dataset;
  config.val_dataset = request.val_dataset;
  config.save_dir = save_dir_of(request, config.resume);
  config.init_cwgt = request.init_cwgt;
  config.weights_only = request.weights_only;
  config.force = request.force;
  take_limits(config, settings, top);

  const calm_model &backbone = runtime.plugins().model(config.backbone);
  const calm_trainer &trainer = runtime.plugins().trainer(config.objective);
  config.pairs = trainer.samples == CALM_SAMPLES_PAIRS;
  if (config.pairs && !request.val_dataset.empty()) {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("--val-dataset: objective {} has no validation", config.objective));
  }
  if (!request.preset.empty()) {
    std::vector<Setting> preset = preset_settings(backbone, request.preset);
    settings.insert(settings.begin() + static_cast<std::ptrdiff_t>(request.defaults.size()),
                    preset.begin(), preset.end());
  }
  // What is misspelt explains what is missing, so it comes first.
  take_section(settings, "model", backbone.config);
  take_section(settings, "training", trainer.options);
  config.training = resolve_section(settings, trainer.options, "training", request.config_file);
  config.ewc = resolve_ewc(settings, request.config_file);
  if (checkpoint) {
    config.model = run::section_values(backbone.config, checkpoint->model, "model",
                                       config.resume + "/" + run::Manifest::kName);
    check_same_model(settings, config);
    if (!config.weights_only) {
      check_same_run(config, *checkpoint, config.force);
    }
    config.metadata = resolve_metadata(runtime, settings, top, &checkpoint->metadata, request);
    return config;
  }
  if (request.init_cwgt.empty()) {
    config.model = resolve_section(settings, backbone.config, "model", request.config_file);
    check_model(backbone, config.model);
    config.metadata = resolve_metadata(runtime, settings, top, nullptr, request);
    return config;
  }
  for (const Setting &s : request.overrides) {
    if (s.section == "model") {
      log_warning("{} model.{}: ignored, the shape comes from {}", s.origin, s.value.name,
                  request.init_cwgt);
    }
  }
  const run::LoadedModel loaded = run::load_model(runtime, request.init_cwgt);
  config.model = loaded.model->config();
  config.metadata = resolve_metadata(runtime, settings, top, &loaded.metadata, request);
  return config;
}

double parse_seconds(std::string_view text) {
  const auto refuse = [text]() -> Error {
    return {CALM_INVALID_ARGUMENT,
            fmt::format("expected a time such as 90s, 10m or 1h30m, found \"{}\"", text)};
  };
  double total = 0;
  std::string_view rest = text;
  if (rest.empty()) {
    throw refuse();
  }
  while (!rest.empty()) {
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789."), rest.size());
    double number = 0;
    if (digits == 0 || !read_number(rest.substr(0, digits), &number)) {
      throw refuse();
    }
    rest.remove_prefix(digits);
    double unit = 1;
    if (!rest.empty()) {
      switch (rest.front()) {
        case 's':
          break;
        case 'm':
          unit = 60;
          break;
        case 'h':
          unit = 3600;
          break;
        case 'd':
          unit = 86400;
          break;
        default:
          throw refuse();
      }
      rest.remove_prefix(1);
    }
    total += number * unit;
  }
  if (!std::isfinite(total) || total <= 0) {
    throw refuse();
  }
  return total;
}

}  // namespace calm::train
