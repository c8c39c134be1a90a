#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>
#include <calm/cpp/utf8.hpp>

#include "core/base/log.hpp"
#include "core/generate/completion.hpp"
#include "core/generate/generator.hpp"
#include "core/run/model_file.hpp"
#include "core/text/stop.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/default_model.hpp"
#include "frontends/cli/parse.hpp"
#include "frontends/cli/prompt.hpp"
#include "frontends/cli/sampling.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

constexpr std::int64_t kMostOffered = 64;

struct Options {
  std::string model, cwd, weights;
  std::vector<std::string> typed;
  std::int64_t candidates = 5;
};

std::string folder_of(const Options &options) {
  std::error_code error;
  const std::filesystem::path path =
      options.cwd.empty() ? std::filesystem::current_path(error)
                          : std::filesystem::absolute(options.cwd, error).lexically_normal();
  if (!error && !std::filesystem::is_directory(path, error) && !error) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  if (error) {
    throw Error(CALM_IO, fmt::format("{}: cannot open: {}",
                                     options.cwd.empty() ? "the working folder" : options.cwd,
                                     error.message()));
  }
  return path.string();
}

void show(Context &context, std::string_view typed, const generate::Completion &completion) {
  const std::string line = std::string(typed) + completion.suffix;
  if (context.options.json) {
    context.out.json({{"line", line}, {"suffix", completion.suffix}, {"score", completion.score}});
  } else {
    context.out.line(line);
  }
}

std::size_t generated(const std::vector<generate::Candidate> &candidates) {
  std::size_t tokens = 0;
  for (const generate::Candidate &candidate : candidates) {
    tokens += candidate.ids.size();
  }
  return tokens;
}

int run_complete(Context &context, const Options &options) {
  context.laps.lap("reading the command line");
  const std::string model = find_model(options.model, "shell.cwgt");
  const std::string cwd = folder_of(options);
  const std::string typed = fmt::format("{}", fmt::join(options.typed, " "));
  if (!is_printable(typed)) {
    return 0;  // nothing may be offered after it
  }
  run::Runtime &runtime = context.runtime();
  runtime.plugins().require_one("domain", "shell");
  context.laps.lap("finding the plugins");
  const calm_domain &domain = runtime.plugins().domain("shell");
  context.laps.lap("loading the domain");
  run::LoadedModel loaded = run::load_model(runtime, model);
  context.laps.lap("loading the model");
  const generate::Sampling sampling = model_sampling(loaded.metadata.sampler, context.seed());
  const std::vector<text::Token> prompt = generate::completion_prompt(
      loaded, domain, runtime.host().table(), cwd, typed, sampling.max_tokens);
  context.laps.lap("gathering the context");
  const std::unique_ptr<run::Session> session =
      context.open(options.candidates < kFewSequences ? CALM_WORKLOAD_DECODE : CALM_WORKLOAD_BATCH,
                   context.weights(options.weights));
  context.laps.lap("opening the backend");
  generate::Generator generator(loaded, *session);
  generator.prepare(static_cast<std::int64_t>(prompt.size()), options.candidates);
  context.laps.lap("compiling");
  const generate::Prefix prefix = generator.read(prompt);
  context.laps.lap("reading the prompt");
  const std::vector<generate::Candidate> candidates =
      generator.generate(prefix, options.candidates, sampling,
                         text::parse_stop_conditions(loaded.metadata.stop_conditions),
                         [&context] { return context.runtime().cancelled(); });
  context.laps.lap("generating");
  for (const generate::Completion &completion : generate::offer(domain, typed, candidates)) {
    show(context, typed, completion);
  }
  context.laps.lap("offering");
  log_debug("{} tokens of context, {} generated", prompt.size(), generated(candidates));
  context.laps.log();
  return 0;
}

}  // namespace

void add_complete(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *verb = app.add_subcommand("complete", "complete a command line");
  Options &o = *options;
  verb->add_option("-m,--model", o.model, "CWGT file; ~/.local/share/calm/shell.cwgt")
      ->envname("CALM_MODEL");
  verb->add_option("-n,--candidates", o.candidates, "continuations to draw, 5")
      ->check(CLI::Range(std::int64_t{1}, kMostOffered));
  verb->add_option("--cwd", o.cwd, "the folder the line is typed in")->option_text("DIR");
  add_weights_option(*verb, o.weights);
  verb->add_option("prefix", o.typed, "what was typed, after --");
  verb->callback([options, &action] {
    action = [options](Context &context) { return run_complete(context, *options); };
  });
}

}  // namespace calm::cli
