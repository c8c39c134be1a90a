#include "frontends/cli/settings.hpp"

#include <sys/auxv.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include "core/run/backend_options.hpp"
#include "core/run/values.hpp"
#include "core/train/config_file.hpp"

namespace calm::cli {

namespace {

constexpr calm_value_spec kKeys[] = {
    spec_str("backend", "auto"), spec_i64("threads", 0, 0, 4096), spec_i64("seed", 0, 0, 9.2e18),
    spec_str("color", "auto"),   spec_str("backend-option", ""),  spec_str("weights", ""),
};

std::string settings_path() {
  const char *config = std::getenv("XDG_CONFIG_HOME");
  if (config != nullptr && config[0] == '/') {
    return std::string(config) + "/calm/config.toml";
  }
  const char *home = std::getenv("HOME");
  return home != nullptr && home[0] == '/' ? std::string(home) + "/.config/calm/config.toml"
                                           : std::string();
}

Color read_color(const std::string &text) {
  if (text == "auto") {
    return Color::kAuto;
  }
  if (text == "always") {
    return Color::kAlways;
  }
  if (text == "never") {
    return Color::kNever;
  }
  throw Error(CALM_INVALID_ARGUMENT, "color: expected auto, always or never, found " + text);
}

std::string read_weights(const std::string &text) {
  if (text == "fp32" || text == "bf16" || text == "int8") {
    return text;
  }
  throw Error(CALM_INVALID_ARGUMENT, "weights: expected fp32, bf16 or int8, found " + text);
}

}  // namespace

void apply_settings(const CLI::App &app, GlobalOptions &options) {
  const std::string path = settings_path();
  if (path.empty() || ::getauxval(AT_SECURE) != 0 || ::access(path.c_str(), F_OK) != 0) {
    return;
  }
  const calm_table schema = {kKeys, std::size(kKeys), sizeof kKeys[0]};
  for (const train::Setting &setting : train::read_settings(path)) {
    try {
      const std::string &name = setting.value.name;
      if (!setting.section.empty()) {
        throw Error(CALM_INVALID_ARGUMENT, fmt::format("unknown section [{}]", setting.section));
      }
      const run::Values values = run::Values::resolve(schema, std::span(&setting.value, 1), "");
      if (name == "weights") {  // a flag of verbs, which wins there
        options.weights = read_weights(values.at(name).text);
        continue;
      }
      if (app.get_option("--" + name)->count() > 0) {
        continue;
      }
      if (name == "backend") {
        options.backend = values.at(name).text;
      } else if (name == "threads") {
        options.threads = static_cast<std::uint32_t>(values.integer(name));
      } else if (name == "seed") {
        options.seed = static_cast<std::uint64_t>(values.integer(name));
      } else if (name == "backend-option") {
        const std::string &list = values.at(name).text;
        run::parse_backend_options(list, name);
        options.backend_options = {list};
      } else {
        options.color = read_color(values.at(name).text);
      }
    } catch (const Error &e) {
      std::string_view message = e.what();
      message.remove_prefix(message.find_first_not_of('.'));  // of a key in no section
      throw Error(e.status(), fmt::format("{}: {}", setting.origin, message));
    }
  }
}

}  // namespace calm::cli
