#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/domain.h>
#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include "core/base/file.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

struct Options {
  std::string domain, output;
  std::vector<std::string> sources;
  std::optional<std::int64_t> l_max;
  bool pairs = false;
};

// What the importer talks to.
struct Receiver {
  run::Runtime *runtime;
  OutputFile *file;
  std::uint64_t records = 0;
  std::vector<std::pair<std::string, std::uint64_t>> counts;
};

calm_status take_record(void *self, calm_str record, calm_error *error) {
  return guard(error, [&] {
    auto &receiver = *static_cast<Receiver *>(self);
    if (receiver.runtime->cancelled()) {
      throw Error(CALM_CANCELLED, "stopped while importing");
    }
    std::string_view text = view(record);
    while (!text.empty() && text.back() == '\n') {
      text.remove_suffix(1);
    }
    if (text.empty()) {
      return;
    }
    // One blank line between records, none at the ends.
    if (receiver.records++ > 0) {
      receiver.file->write("\n", 1);
    }
    receiver.file->write(text.data(), text.size());
    receiver.file->write("\n", 1);
  });
}

void take_count(void *self, calm_str name, std::uint64_t count) {
  // Called by a plugin: an exception must not cross it, and a lost count is no harm.
  try {
    static_cast<Receiver *>(self)->counts.emplace_back(copy(name), count);
  } catch (const std::exception &) {
    return;
  }
}

std::string absolute_source(const std::string &source) {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(source, error);
  if (!error && !std::filesystem::exists(path, error) && !error) {
    error = std::make_error_code(std::errc::no_such_file_or_directory);
  }
  if (error) {
    throw Error(CALM_IO, source + ": cannot open: " + error.message());
  }
  return path.string();
}

int run_import(Context &context, const Options &options) {
  run::Runtime &runtime = context.runtime();
  runtime.plugins().require_one("domain", options.domain);
  const calm_domain &domain = runtime.plugins().domain(options.domain);
  if (domain.import == nullptr) {
    throw Error(CALM_UNSUPPORTED, fmt::format("domain {} has no importer", options.domain));
  }
  std::vector<std::string> paths;
  paths.reserve(options.sources.size());
  for (const std::string &source : options.sources) {
    paths.push_back(absolute_source(source));
    std::error_code error;
    if (std::filesystem::equivalent(paths.back(), options.output, error)) {
      throw Error(CALM_INVALID_ARGUMENT,
                  options.output + ": expected another file than the source");
    }
  }
  std::vector<calm_str> sources;
  sources.reserve(paths.size());
  for (const std::string &path : paths) {
    sources.push_back(str(path));
  }
  std::vector<calm_value> values;
  if (options.l_max) {
    values.push_back(value("l_max", *options.l_max));
  }
  if (options.pairs) {
    values.push_back(value("pairs", true));
  }
  OutputFile file(options.output);
  Receiver receiver{&runtime, &file, 0, {}};
  calm_import request{};
  request.size = sizeof request;
  request.n_sources = static_cast<std::uint32_t>(sources.size());
  request.sources = sources.data();
  request.options = table(values);
  request.context = &receiver;
  request.record = take_record;
  request.count = take_count;
  call(domain.import, &request, runtime.host().table());
  for (const auto &[name, count] : receiver.counts) {
    context.note(fmt::format("{}: {}", name, count));
  }
  if (receiver.records == 0) {
    throw Error(CALM_FAILED, "no record was found in the sources; nothing was written");
  }
  file.publish();
  context.note(fmt::format("Wrote {} records to {}", receiver.records, options.output));
  return 0;
}

}  // namespace

void add_dataset_import(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *verb = app.add_subcommand("import", "turn sources of a domain into a text");
  Options &o = *options;
  verb->add_option("domain", o.domain, "dictionary, netref or shell")->required();
  verb->add_option("sources", o.sources, "files or folders the domain's importer reads")
      ->required();
  verb->add_option("-o,--output", o.output, "text file")->required();
  verb->add_option("--l-max", o.l_max, "shorten records to so many tokens, 768");
  verb->add_flag("--pairs", o.pairs, "queries and passages for contrastive training instead");
  verb->callback([options, &action] {
    action = [options](Context &context) { return run_import(context, *options); };
  });
}

}  // namespace calm::cli
