#include "core/search/search.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/base/file.hpp"
#include "core/search/query.hpp"
#include "core/search/sources.hpp"
#include "core/text/printable.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/index_tools.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

using search::Index;
using search::Mode;

constexpr std::size_t kSnippet = 200;
constexpr std::int64_t kMostResults = 10000;

struct Options {
  std::string index, model, queries;
  std::vector<std::string> words;
  std::int64_t k = 10;
  std::optional<Mode> mode;
};

// The index, and what its vectors need where they are asked for.
struct Sides {
  VectorTools tools;
  std::unique_ptr<search::VectorScan> scan;
  search::VectorSide side() const { return {tools.encoder.get(), scan.get()}; }
};

Sides open_sides(Context &context, const Index &index, const Options &options, bool vectors) {
  Sides sides;
  if (vectors) {
    sides.tools = open_encoder_of(context, index, options.model);
    sides.scan = std::make_unique<search::VectorScan>(
        *sides.tools.session, context.runtime().operators(), index.model()->dimension);
  }
  return sides;
}

void expect_vectors(const Index &index, Mode mode) {
  if (mode != Mode::kBm25 && !index.model()) {
    throw Error(
        CALM_INVALID_ARGUMENT,
        fmt::format("{}: --mode {} needs vectors, and it has none: \"calm index rebuild IDX "
                    "-m MODEL\" makes them",
                    index.path(), search::mode_name(mode)));
  }
}

Json optional_number(std::optional<double> number) {
  return number ? Json(*number) : Json(nullptr);
}

Json optional_number(std::optional<std::int64_t> number) {
  return number ? Json(*number) : Json(nullptr);
}

void show(Context &context, std::size_t rank, const search::Result &result,
          const search::StoredPassage &passage, const std::string &query) {
  Output &out = context.out;
  if (context.options.json) {
    out.json({{"rank", rank},
              {"score", result.score},
              {"bm25", optional_number(result.bm25)},
              {"vector", optional_number(result.vector)},
              {"source", passage.source},
              {"title", passage.title},
              {"section", passage.section},
              {"begin", optional_number(passage.begin)},
              {"end", optional_number(passage.end)},
              {"text", passage.text}});
    return;
  }
  out.write(fmt::format("{:>3}  {:.4f}  ", rank, result.score));
  const std::string place =
      passage.section.empty() ? passage.title : passage.title + " § " + passage.section;
  const auto line = [&out](const std::string &text) {
    // One line whatever the text holds, on a terminal or not.
    out.line(text::printable(text, text::LineFeeds::kEscape));
  };
  line(place);
  if (context.options.verbose > 0) {
    out.write("     ");
    line(passage.begin && passage.end
             ? fmt::format("{}:{}-{}", passage.source, *passage.begin, *passage.end)
             : passage.source);
  }
  out.write("     ");
  line(search::snippet(passage.text, query, kSnippet));
}

int run_query(Context &context, const Options &options) {
  const std::string query = fmt::format("{}", fmt::join(options.words, " "));
  if (search::words_of(query).empty()) {
    throw Error(CALM_INVALID_ARGUMENT, "query: expected a word at least, found none");
  }
  const Index index(options.index, search::Database::Access::kRead);
  const Mode mode = options.mode.value_or(index.model() ? Mode::kHybrid : Mode::kBm25);
  expect_vectors(index, mode);
  const Sides sides = open_sides(context, index, options, mode != Mode::kBm25);
  const std::vector<search::Result> results =
      search::search(index, sides.side(), query, mode, static_cast<std::size_t>(options.k));
  for (std::size_t i = 0; i < results.size(); ++i) {
    show(context, i + 1, results[i], index.passage(results[i].passage), query);
  }
  if (results.empty()) {
    context.note("nothing found");
  }
  return 0;
}

std::vector<data::TextPair> read_queries(const std::string &path) {
  data::PairFile file = data::parse_pairs(read_text(path, search::kLargestSource), path);
  if (file.pairs.empty()) {
    throw Error(CALM_CORRUPT_DATA, path + ": expected pairs of a query and a passage, found none");
  }
  return std::move(file.pairs);
}

int run_queries(Context &context, const Options &options) {
  const std::vector<data::TextPair> pairs = read_queries(options.queries);
  const Index index(options.index, search::Database::Access::kRead);
  std::vector<Mode> modes;
  if (options.mode) {
    expect_vectors(index, *options.mode);
    modes = {*options.mode};
  } else if (index.model()) {
    modes = {Mode::kVector, Mode::kBm25, Mode::kHybrid};
  } else {
    modes = {Mode::kBm25};
  }
  const Sides sides = open_sides(context, index, options, modes.front() != Mode::kBm25);
  const search::Evaluation found =
      search::evaluate(index, sides.side(), pairs, modes, static_cast<std::size_t>(options.k));
  if (context.options.json) {
    Json by_mode = Json::object();
    for (const search::Quality &quality : found.modes) {
      by_mode[std::string(search::mode_name(quality.mode))] = {{"recall", quality.recall},
                                                               {"mrr", quality.mrr}};
    }
    context.out.json({{"queries", found.queries},
                      {"absent", found.absent},
                      {"k", options.k},
                      {"modes", by_mode}});
    return 0;
  }
  context.out.line(fmt::format("queries  {}, {} of them for passages the index has not",
                               found.queries, found.absent));
  context.out.line(fmt::format("{:<7}  {:<10}  MRR", "mode", fmt::format("recall@{}", options.k)));
  for (const search::Quality &quality : found.modes) {
    context.out.line(fmt::format("{:<7}  {:<10.4f}  {:.4f}", search::mode_name(quality.mode),
                                 quality.recall, quality.mrr));
  }
  return 0;
}

}  // namespace

void add_search(CLI::App &app, Action &action) {
  const auto options = std::make_shared<Options>();
  Options &o = *options;
  CLI::App *verb = app.add_subcommand("search", "find passages in an index");
  const std::map<std::string, Mode> modes = {
      {"vector", Mode::kVector}, {"bm25", Mode::kBm25}, {"hybrid", Mode::kHybrid}};
  verb->add_option("index", o.index, "file made by calm index")->required();
  CLI::Option *query = verb->add_option("query", o.words, "what to look for");
  verb->add_option("-k", o.k, "so many passages, 10")
      ->check(CLI::Range(std::int64_t{1}, kMostResults));
  verb->add_option("--mode", o.mode, "vector, bm25 or hybrid; hybrid where the index has vectors")
      ->transform(CLI::CheckedTransformer(modes))
      ->option_text("MODE");
  verb->add_option("-m,--model", o.model, "where the model of the index is now");
  CLI::Option *queries =
      verb->add_option("--queries", o.queries,
                       "pair file: how often a query finds its passage among the k best, by mode");
  queries->excludes(query);
  verb->callback([options, query, queries, &action] {
    if (query->count() == 0 && queries->count() == 0) {
      throw CLI::RequiredError("query");
    }
    action = [options](Context &context) {
      return options->queries.empty() ? run_query(context, *options)
                                      : run_queries(context, *options);
    };
  });
}

}  // namespace calm::cli
