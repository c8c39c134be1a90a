#include "core/train/resume_config.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"

namespace calm::train {

namespace {

// Keys that change what is shown or how fast it goes, and no number of the result.
constexpr std::array<std::string_view, 3> kHarmless = {"log_interval_steps", "amp",
                                                       "gradient_checkpointing"};

const OwnedValue *find(const std::vector<OwnedValue> &values, std::string_view name) {
  const auto it = std::find_if(values.begin(), values.end(),
                               [&](const OwnedValue &v) { return v.name == name; });
  return it == values.end() ? nullptr : &*it;
}

// An integer stands for a real number where the schema wants one.
double number(const OwnedValue &v) {
  return v.type == CALM_VALUE_F64 ? v.f64 : static_cast<double>(v.i64);
}

bool same(const OwnedValue &a, const OwnedValue &b) {
  const bool texts = a.type == CALM_VALUE_STR || b.type == CALM_VALUE_STR;
  return texts ? a.type == b.type && a.text == b.text : number(a) == number(b);
}

}  // namespace

std::vector<Setting> checkpoint_settings(const run::Manifest &manifest, const calm_trainer &trainer,
                                         const std::string &folder) {
  const std::string origin = folder + "/" + run::Manifest::kName;
  std::vector<Setting> settings;
  for (std::uint32_t i = 0; i < trainer.options.count; ++i) {
    const std::string name = copy(record<calm_value_spec>(trainer.options, i).name);
    if (const OwnedValue *value = find(manifest.training, name)) {
      settings.push_back({"training", *value, origin});
    }
  }
  for (std::uint32_t i = 0; i < continual_keys().count; ++i) {
    const std::string name = copy(record<calm_value_spec>(continual_keys(), i).name);
    if (const OwnedValue *value = find(manifest.continual, name)) {
      settings.push_back({"continual", *value, origin});
    }
  }
  if (manifest.seed) {
    settings.push_back(
        {"", {"seed", CALM_VALUE_I64, static_cast<std::int64_t>(*manifest.seed), 0, {}}, origin});
  }
  settings.push_back({"", {"backbone", CALM_VALUE_STR, 0, 0, manifest.backbone}, origin});
  settings.push_back({"", {"objective", CALM_VALUE_STR, 0, 0, manifest.objective}, origin});
  return settings;
}

void check_same_run(const TrainConfig &config, const run::Manifest &manifest, bool force) {
  const auto differs = [&](const std::string &key, const std::string &then,
                           const std::string &now) {
    const std::string what =
        fmt::format("{}: expected {} as in {}, found {}", key, then, config.resume, now);
    if (!force) {
      throw Error(CALM_INVALID_ARGUMENT, what + "; --force goes on all the same");
    }
    log_warning("{}", what);
  };
  for (const OwnedValue &now : config.training.list()) {
    const OwnedValue *then = find(manifest.training, now.name);
    const bool harmless =
        std::find(kHarmless.begin(), kHarmless.end(), now.name) != kHarmless.end();
    if (then == nullptr || harmless || same(*then, now)) {
      continue;
    }
    if (now.name == "epochs") {
      // The commonest reason to go on: more of them. Only the schedule's length follows.
      log_warning(
          "training.epochs: {} instead of {} as in {}: the learning rate follows the new "
          "schedule",
          run::to_text(now), run::to_text(*then), config.resume);
    } else {
      differs("training." + now.name, run::to_text(*then), run::to_text(now));
    }
  }
  const std::vector<OwnedValue> continual =
      config.ewc ? continual_section(*config.ewc) : std::vector<OwnedValue>();
  if (manifest.ewc.has_value() != config.ewc.has_value()) {
    differs("continual.method", manifest.ewc ? "online_ewc" : "none",
            config.ewc ? "online_ewc" : "none");
  }
  for (const OwnedValue &now : continual) {
    const OwnedValue *then = find(manifest.continual, now.name);
    if (then != nullptr && now.name != "method" && !same(*then, now)) {
      differs("continual." + now.name, run::to_text(*then), run::to_text(now));
    }
  }
  if (manifest.seed && *manifest.seed != config.seed) {
    differs("seed", std::to_string(*manifest.seed), std::to_string(config.seed));
  }
  if (manifest.objective != config.objective) {
    differs("objective", manifest.objective, config.objective);
  }
}

void check_same_model(const std::vector<Setting> &settings, const TrainConfig &config) {
  for (std::size_t i = 0; i < settings.size(); ++i) {
    const Setting &s = settings[i];
    const bool overridden =
        std::any_of(settings.begin() + static_cast<std::ptrdiff_t>(i) + 1, settings.end(),
                    [&](const Setting &later) {
                      return later.section == s.section && later.value.name == s.value.name;
                    });
    if (s.section != "model" || overridden || !config.model.has(s.value.name)) {
      continue;
    }
    const OwnedValue &real = config.model.at(s.value.name);
    // 0 asks for the value that follows from the others.
    const bool automatic = s.value.type == CALM_VALUE_I64 && s.value.i64 == 0;
    if (!automatic && !same(s.value, real)) {
      throw Error(
          CALM_INVALID_ARGUMENT,
          fmt::format("{}: model.{}: expected {}, the shape of {}, found {}", s.origin,
                      s.value.name, run::to_text(real), config.resume, run::to_text(s.value)));
    }
  }
}

}  // namespace calm::train
