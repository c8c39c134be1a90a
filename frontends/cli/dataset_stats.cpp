#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "core/data/batch.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/sequences.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

double share(std::uint64_t part, std::uint64_t all) {
  return all == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(all);
}

Json describe(const DatasetStats &s) {
  Json histogram = Json::array();
  for (const DatasetStats::Bin &bin : s.histogram) {
    histogram.push_back({{"from", bin.from}, {"to", bin.to}, {"count", bin.count}});
  }
  return {{"sequences", s.sequences},
          {"tokens", s.tokens},
          {"length",
           {{"min", s.shortest},
            {"median", s.median},
            {"p95", s.p95},
            {"max", s.longest},
            {"mean", share(s.tokens, s.sequences)},
            {"histogram", histogram}}},
          {"targets", s.targets.all},
          {"masked_share", share(s.targets.all - s.targets.counted, s.targets.all)},
          {"duplicates", s.duplicates},
          {"invalid_utf8", s.bad_sequences}};
}

void print(Output &out, const DatasetStats &s) {
  constexpr double kColumns = 40;
  out.line(fmt::format("sequences     {}", s.sequences));
  out.line(fmt::format("tokens        {}", s.tokens));
  out.line(fmt::format("length        min {}, median {}, mean {:.1f}, 95% {}, max {}", s.shortest,
                       s.median, share(s.tokens, s.sequences), s.p95, s.longest));
  std::uint64_t tallest = 1;
  for (const DatasetStats::Bin &bin : s.histogram) {
    tallest = std::max(tallest, bin.count);
  }
  for (const DatasetStats::Bin &bin : s.histogram) {
    const auto columns = static_cast<std::size_t>(share(bin.count, tallest) * kColumns + 0.5);
    std::string row = fmt::format("  {:>5}..{:<5} {:>8} {}", bin.from, bin.to, bin.count,
                                  std::string(columns, '#'));
    row.erase(row.find_last_not_of(' ') + 1);
    out.line(row);
  }
  out.line(fmt::format("masked        {:.1f}% of {} targets",
                       100 * share(s.targets.all - s.targets.counted, s.targets.all),
                       s.targets.all));
  out.line(fmt::format("duplicates    {}", s.duplicates));
  out.line(fmt::format("invalid UTF-8 {} sequences", s.bad_sequences));
}

int run_stats(Context &context, const std::string &file) {
  const DatasetStats stats = dataset_stats(data::read_dataset(context.runtime(), file));
  if (context.options.json) {
    context.out.json(describe(stats));
  } else {
    print(context.out, stats);
  }
  return 0;
}

}  // namespace

void add_dataset_stats(CLI::App &app, Action &action) {
  auto file = std::make_shared<std::string>();
  CLI::App *verb = app.add_subcommand("stats", "lengths, loss mask and duplicates of a dataset");
  verb->add_option("file", *file, "CTDS file")->required();
  verb->callback(
      [file, &action] { action = [file](Context &context) { return run_stats(context, *file); }; });
}

}  // namespace calm::cli
