#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/search/build.hpp"
#include "core/search/index.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/index_tools.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

using search::Changes;
using search::Database;
using search::Index;

struct Options {
  std::string index, model, pool;
  std::vector<std::string> sources;
};

// A line now and then of a change that takes long.
class Progress {
 public:
  explicit Progress(const Context &context) : context_(context) {}
  void operator()(std::uint64_t sources, std::uint64_t passages) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ >= std::chrono::seconds(5)) {
      last_ = now;
      context_.note(fmt::format("{} sources, {} passages", sources, passages));
    }
  }

 private:
  const Context &context_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

search::Workshop workshop(Context &context, const VectorTools &tools) {
  return {&context.runtime(), tools.encoder.get(), Progress(context)};
}

int report(Context &context, const std::string &index, const Changes &changes) {
  if (context.options.json) {
    context.out.json({{"added", changes.added},
                      {"replaced", changes.replaced},
                      {"unchanged", changes.unchanged},
                      {"removed", changes.removed},
                      {"skipped", changes.skipped},
                      {"passages", changes.passages}});
    return 0;
  }
  std::string line = fmt::format("{}:", index);
  const auto count = [&](std::uint64_t n, const char *what) {
    if (n > 0) {
      line += fmt::format(" {} sources {},", n, what);
    }
  };
  count(changes.added, "added");
  count(changes.replaced, "replaced");
  count(changes.unchanged, "unchanged");
  count(changes.removed, "removed");
  count(changes.skipped, "skipped (no text)");
  context.note(fmt::format("{} {} passages", line, changes.passages));
  return 0;
}

int run_build(Context &context, const Options &options) {
  VectorTools tools;
  if (!options.model.empty()) {
    tools = open_encoder(context, options.model, options.pool.empty() ? "mean" : options.pool);
  }
  return report(context, options.index,
                search::build_index(workshop(context, tools), options.index, options.sources));
}

int run_add(Context &context, const Options &options) {
  Index index(options.index, Database::Access::kWrite);
  VectorTools tools;
  if (index.model()) {
    tools = open_encoder_of(context, index, options.model);
  } else if (!options.model.empty()) {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("{}: has no vectors; \"calm index rebuild IDX -m MODEL\" makes them",
                            options.index));
  }
  return report(context, options.index,
                search::add_sources(workshop(context, tools), index, options.sources));
}

int run_rm(Context &context, const Options &options) {
  Index index(options.index, Database::Access::kWrite);
  return report(context, options.index, search::remove_sources(index, options.sources));
}

int run_rebuild(Context &context, const Options &options) {
  Index index(options.index, Database::Access::kWrite);
  if (options.model.empty() && !index.model()) {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("{}: has no model yet: --model is required", options.index));
  }
  const std::string pool = !options.pool.empty() ? options.pool
                           : index.model()       ? index.model()->pooling
                                                 : "mean";
  const VectorTools tools =
      open_encoder(context, options.model.empty() ? index.model()->path : options.model, pool);
  return report(context, options.index, search::rebuild_vectors(workshop(context, tools), index));
}

Json describe(const Index &index, const search::Totals &totals,
              const std::vector<search::StoredDocument> &documents) {
  Json model = nullptr;
  if (index.model()) {
    model = {{"sha256", index.model()->sha256},
             {"path", index.model()->path},
             {"dimension", index.model()->dimension},
             {"pooling", index.model()->pooling},
             {"metric", "cosine"}};
  }
  Json sources = Json::array();
  for (const search::StoredDocument &stored : documents) {
    sources.push_back({{"source", stored.document.source},
                       {"title", stored.document.title},
                       {"kind", stored.document.kind},
                       {"bytes", stored.document.size},
                       {"sha256", stored.document.sha256},
                       {"passages", stored.passages}});
  }
  return {{"format", "calm-index"},
          {"version", 1},
          {"documents", totals.documents},
          {"passages", totals.passages},
          {"vectors", totals.vectors},
          {"model", model},
          {"sources", sources}};
}

int run_info(Context &context, const Options &options) {
  const Index index(options.index, Database::Access::kRead);
  const search::Totals totals = index.totals();
  const std::vector<search::StoredDocument> documents = index.documents();
  Output &out = context.out;
  if (context.options.json) {
    out.json(describe(index, totals, documents));
    return 0;
  }
  out.line("format     calm-index 1");
  out.line(fmt::format("documents  {}", totals.documents));
  out.line(fmt::format("passages   {}", totals.passages));
  out.line(fmt::format("vectors    {}", totals.vectors));
  if (const auto &model = index.model()) {
    out.write("model      ");
    out.untrusted(model->path);
    out.line(fmt::format("\nsha256     {}\ndimension  {}, {} pooling, cosine", model->sha256,
                         model->dimension, model->pooling));
  } else {
    out.line("model      none: words only");
  }
  if (context.options.verbose > 0) {
    for (const search::StoredDocument &stored : documents) {
      out.untrusted(fmt::format("{:>6}  {:<7} {}", stored.passages, stored.document.kind,
                                stored.document.source));
      out.line("");
    }
  }
  return 0;
}

CLI::App *add_verb(CLI::App &app, Action &action, const std::shared_ptr<Options> &options,
                   const char *name, const char *doc, int (*run)(Context &, const Options &)) {
  CLI::App *verb = app.add_subcommand(name, doc);
  verb->add_option("index", options->index, "file of the index")->required();
  verb->callback([options, run, &action] {
    action = [options, run](Context &context) { return run(context, *options); };
  });
  return verb;
}

void take_sources(CLI::App &verb, Options &options, const char *doc) {
  verb.add_option("sources", options.sources, doc)->required();
}

void take_pool(CLI::App &verb, Options &options) {
  verb.add_option("--pool", options.pool, "how a text becomes one vector: mean or last, mean")
      ->check(CLI::IsMember({"mean", "last"}));
}

}  // namespace

void add_index(CLI::App &app, Action &action) {
  CLI::App *index = app.add_subcommand("index", "make an index of documents for calm search");
  index->require_subcommand(1);
  const auto options = std::make_shared<Options>();
  Options &o = *options;
  constexpr const char *kSources = "text files, manual pages, RFCs, pair files, folders of these";

  CLI::App *build = add_verb(*index, action, options, "build", "make a new index", run_build);
  take_sources(*build, o, kSources);
  build->add_option("-m,--model", o.model, "model for vectors; without one: words only");
  take_pool(*build, o);

  add_verb(*index, action, options, "info", "what an index holds; -v: its sources, too", run_info);

  CLI::App *add = add_verb(*index, action, options, "add",
                           "add sources, replace those that have changed", run_add);
  take_sources(*add, o, kSources);
  add->add_option("-m,--model", o.model, "where the model of the index is now");

  CLI::App *rm = add_verb(*index, action, options, "rm", "remove sources", run_rm);
  take_sources(*rm, o, "sources, or folders they were in");

  CLI::App *rebuild = add_verb(*index, action, options, "rebuild",
                               "make all vectors anew, for a model that has changed", run_rebuild);
  rebuild->add_option("-m,--model", o.model, "model, the one it was built with");
  take_pool(*rebuild, o);
}

}  // namespace calm::cli
