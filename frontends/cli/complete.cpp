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

#include "core/generate/completion.hpp"
#include "core/generate/generator.hpp"
#include "core/run/model_file.hpp"
#include "core/text/stop.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/default_model.hpp"
#include "frontends/cli/prompt.hpp"
#include "frontends/cli/sampling.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

constexpr std::int64_t kMostOffered = 64;

struct Options {
  std::string model, cwd;
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

int run_complete(Context &context, const Options &options) {
  const std::string model = find_model(options.model, "shell.cwgt");
  const std::string cwd = folder_of(options);
  const std::string typed = fmt::format("{}", fmt::join(options.typed, " "));
  if (!is_printable(typed)) {
    return 0;  // nothing may be offered after it
  }
  run::Runtime &runtime = context.runtime();
  runtime.plugins().require_one("domain", "shell");
  const calm_domain &domain = runtime.plugins().domain("shell");
  run::LoadedModel loaded = run::load_model(runtime, model);
  const generate::Sampling sampling = model_sampling(loaded.metadata.sampler, context.seed());
  const std::vector<text::Token> prompt = generate::completion_prompt(
      loaded, domain, runtime.host().table(), cwd, typed, sampling.max_tokens);
  const std::unique_ptr<run::Session> session =
      context.open(options.candidates < kFewSequences ? CALM_WORKLOAD_DECODE : CALM_WORKLOAD_BATCH);
  generate::Generator generator(loaded, *session);
  const std::vector<generate::Candidate> candidates =
      generator.generate(prompt, options.candidates, sampling,
                         text::parse_stop_conditions(loaded.metadata.stop_conditions),
                         [&context] { return context.runtime().cancelled(); });
  for (const generate::Completion &completion : generate::offer(domain, typed, candidates)) {
    show(context, typed, completion);
  }
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
  verb->add_option("prefix", o.typed, "what was typed, after --");
  verb->callback([options, &action] {
    action = [options](Context &context) { return run_complete(context, *options); };
  });
}

}  // namespace calm::cli
