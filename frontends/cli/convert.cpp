#include <array>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/run/manifest.hpp"
#include "core/run/model_file.hpp"
#include "core/run/model_folder.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

namespace fs = std::filesystem;

struct Options {
  std::string src, dst;
  bool force = false;
};

enum class Kind { kCwgt, kTensors, kFolder };

Kind kind_of(const std::string &dst) {
  const std::string ending = fs::path(dst).extension().string();
  if (ending == ".cwgt") {
    return Kind::kCwgt;
  }
  if (ending == ".safetensors") {
    return Kind::kTensors;
  }
  if (!ending.empty()) {
    throw Error(
        CALM_INVALID_ARGUMENT,
        fmt::format("{}: expected a name that ends in .cwgt or .safetensors, or one without "
                    "an ending or with a final / for a folder",
                    dst));
  }
  return Kind::kFolder;
}

// Nothing that is there is lost unasked, and no folder but a model's at all.
void check_free(const Options &options, Kind kind) {
  std::error_code none;
  if (!fs::exists(options.dst, none)) {
    return;
  }
  if (fs::equivalent(options.src, options.dst, none)) {
    throw Error(CALM_INVALID_ARGUMENT,
                options.dst + ": expected another name than the source, found the same");
  }
  if (!options.force) {
    throw Error(CALM_INVALID_ARGUMENT, options.dst + ": is there already; --force replaces it");
  }
  const bool model_folder = fs::exists(options.dst + "/" + run::Manifest::kName, none);
  if (kind == Kind::kFolder && !model_folder) {
    throw Error(CALM_INVALID_ARGUMENT,
                options.dst + ": expected a model's folder to replace, found something else");
  }
}

// The manifest of a source that is a checkpoint's or a model's folder.
std::optional<run::Manifest> manifest_of(const std::string &src) {
  std::error_code none;
  return fs::exists(src + "/" + run::Manifest::kName, none)
             ? std::optional<run::Manifest>(run::read_manifest(src))
             : std::nullopt;
}

// CWGT has thousandths (spec K.2).
void warn_of_rounding(const run::SamplerDefaults &sampler) {
  const std::array<std::pair<const char *, std::optional<double>>, 3> scaled = {
      {{"temperature", sampler.temperature}, {"top_p", sampler.top_p}, {"min_p", sampler.min_p}}};
  for (const auto &[name, value] : scaled) {
    const double stored = std::trunc(value.value_or(0) * 1000 + 0.5) / 1000;
    if (value && stored != *value) {
      log_warning("sampler.{}: {} becomes {}, all that a CWGT file can say", name, *value, stored);
    }
  }
}

int run_convert(Context &context, const Options &options) {
  const Kind kind = kind_of(options.dst);
  check_free(options, kind);
  const std::optional<run::Manifest> manifest = manifest_of(options.src);
  const std::string backbone = manifest ? manifest->backbone : "mamba";
  run::Runtime &runtime = context.runtime();
  const run::LoadedModel loaded = run::load_model(runtime, options.src);
  if (manifest && manifest->checkpoint) {
    log_warning("{}: the state of its training (optimizer, counters) is left behind", options.src);
  }
  switch (kind) {
    case Kind::kCwgt:
      if (backbone != "mamba") {
        throw Error(
            CALM_INVALID_ARGUMENT,
            fmt::format("{}: expected the backbone mamba, the only one a CWGT file can say, "
                        "found {}",
                        options.src, backbone));
      }
      warn_of_rounding(loaded.metadata.sampler);
      run::save_model(runtime, *loaded.model, *loaded.weights, loaded.metadata, options.dst,
                      loaded.ewc);
      break;
    case Kind::kTensors:
      run::save_model_tensors(runtime, loaded, backbone, options.dst);
      break;
    case Kind::kFolder:
      if (loaded.ewc) {
        log_warning(
            "{}: what online EWC remembers is left behind, a model's folder has no place "
            "for it",
            options.src);
      }
      run::save_model_folder(runtime, loaded, backbone,
                             options.dst.substr(0, options.dst.find_last_not_of('/') + 1));
      break;
  }
  context.out.untrusted(options.dst);
  context.out.line("");
  return 0;
}

}  // namespace

void add_convert(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *verb = app.add_subcommand("convert", "write a model in another format");
  Options &o = *options;
  verb->add_option("src", o.src, "CWGT or safetensors file, checkpoint, model or run folder")
      ->required();
  verb->add_option("dst", o.dst, "a name that ends in .cwgt or .safetensors, or a folder")
      ->required();
  verb->add_flag("--force", o.force, "replace what is there");
  verb->callback([options, &action] {
    action = [options](Context &context) { return run_convert(context, *options); };
  });
}

}  // namespace calm::cli
