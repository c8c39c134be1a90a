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

struct Options {
  std::string file;
  std::uint64_t count = 5;
};

// The loss counts what stands behind cmd_pos: the first part is given, the second is learnt.
void show(Context &context, const data::Dataset &dataset, std::size_t i) {
  const std::span<const std::uint16_t> tokens = dataset.sequence(i);
  const std::uint16_t cmd_pos = dataset.cmd_pos[i];
  const Targets targets = count_targets(tokens, cmd_pos);
  const std::size_t given = std::min<std::size_t>(cmd_pos + std::size_t{1}, tokens.size());
  const std::string prompt = render_tokens(tokens.first(given));
  const std::string answer = render_tokens(tokens.subspan(given));
  if (context.options.json) {
    context.out.json({{"index", i},
                      {"length", tokens.size()},
                      {"cmd_pos", cmd_pos},
                      {"targets", targets.all},
                      {"counted", targets.counted},
                      {"given", prompt},
                      {"learnt", answer},
                      {"tokens", std::vector<std::uint16_t>(tokens.begin(), tokens.end())}});
    return;
  }
  const bool colored_out = colored(stdout, context.options.color);
  const char *dim = colored_out ? "\x1b[2m" : "";
  const char *normal = colored_out ? "\x1b[0m" : "";
  context.out.line(fmt::format("[{}] {} tokens, the loss counts {} of {} targets", i, tokens.size(),
                               targets.counted, targets.all));
  context.out.line(fmt::format("  given   {}{}{}", dim, prompt, normal));
  context.out.line(fmt::format("  learnt  {}", answer));
}

int run_show(Context &context, const Options &options) {
  const data::Dataset dataset = data::read_dataset(context.runtime(), options.file);
  const std::uint64_t count = std::min<std::uint64_t>(options.count, dataset.size());
  for (std::size_t i = 0; i < count; ++i) {
    show(context, dataset, i);
  }
  return 0;
}

}  // namespace

void add_dataset_show(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *verb = app.add_subcommand("show", "print sequences of a dataset");
  verb->add_option("file", options->file, "CTDS file")->required();
  verb->add_option("-n", options->count, "how many, from the first")->capture_default_str();
  verb->callback([options, &action] {
    action = [options](Context &context) { return run_show(context, *options); };
  });
}

}  // namespace calm::cli
