#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/generate/generator.hpp"
#include "core/run/model_file.hpp"
#include "core/text/stop.hpp"
#include "core/text/template.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/old/old_name.hpp"
#include "frontends/cli/old/python_text.hpp"
#include "frontends/cli/prompt.hpp"

namespace calm::cli {

namespace {

struct Options {
  std::string model, input, raw;
  std::optional<std::string> temperature;
  std::optional<double> top_p, min_p;
  std::optional<std::int64_t> top_k, max_tokens, candidates;
  Rendering rendering;
  bool quiet = false, show_fields = false, model_defaults = false;
};

double read_temperature(std::string_view text) {
  const std::string_view blanks = " \t\n\r\f\v";
  const std::size_t first = std::min(text.find_first_not_of(blanks), text.size());
  const std::size_t last = text.find_last_not_of(blanks);
  std::string_view number =
      text.substr(first, last == std::string_view::npos ? 0 : last + 1 - first);
  number.remove_prefix(number.starts_with('+') ? 1 : 0);
  double value = 0;
  const auto [end, code] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (code != std::errc() || end != number.data() + number.size() || !std::isfinite(value)) {
    throw Error(CALM_INVALID_ARGUMENT,
                fmt::format("--temperature: expected a number, found \"{}\"", text));
  }
  return value;
}

// The flags and their defaults; what the file carries only where that was asked for.
generate::Sampling make_sampling(const Options &options, const run::SamplerDefaults &file,
                                 std::uint64_t seed) {
  generate::Sampling s;
  s.temperature = options.temperature ? read_temperature(*options.temperature)
                                      : file.temperature.value_or(s.temperature);
  s.top_k = options.top_k.value_or(file.top_k.value_or(s.top_k));
  s.top_p = options.top_p.value_or(file.top_p.value_or(s.top_p));
  s.min_p = options.min_p.value_or(file.min_p.value_or(s.min_p));
  s.max_tokens = std::max<std::int64_t>(
      options.max_tokens.value_or(file.max_tokens.value_or(s.max_tokens)), 0);
  s.seed = seed;
  return s;
}

// What is to be continued. An empty --raw or --input counts as not given.
std::string read_input(Context &context, const Options &options) {
  if (!options.raw.empty() && !options.input.empty()) {
    throw Error(CALM_INVALID_ARGUMENT, "--raw and --input exclude each other");
  }
  if (!options.raw.empty()) {
    return options.raw;
  }
  if (!options.input.empty()) {
    return options.input;
  }
  if (is_terminal(stdin)) {
    throw Error(CALM_INVALID_ARGUMENT,
                "expected --input TEXT, --raw TEXT or a text on standard input");
  }
  return read_standard_input([&context] { return context.runtime().cancelled(); });
}

void show(Context &context, const Options &options, std::size_t index,
          const generate::Candidate &candidate, const std::string &rendered) {
  if (!options.quiet) {
    context.out.write(fmt::format("[{}] {}  ", index, python_fixed(candidate.score, 4)));
  }
  context.out.untrusted(rendered);
  context.out.line("");
}

// In the order of spec N.3.
int run_inference(Context &context, const Options &options) {
  run::LoadedModel loaded = run::load_model(context.runtime(), options.model);
  const run::SamplerDefaults file =
      options.model_defaults ? loaded.metadata.sampler : run::SamplerDefaults();
  const generate::Sampling sampling = make_sampling(options, file, context.seed());
  if (!options.quiet) {
    context.out.line(
        fmt::format("model: d={} L={} params={}", loaded.model->config().integer("d_model"),
                    loaded.model->config().integer("n_layers"), loaded.model->param_count()));
  }
  if (options.show_fields) {
    context.out.untrusted(text::describe_fields(loaded.metadata.template_spec));
    return 0;
  }
  const bool raw = !options.raw.empty();
  const std::vector<text::Token> prompt =
      make_prompt(loaded, options.model, read_input(context, options), raw);
  const std::int64_t candidates = options.candidates.value_or(file.candidates.value_or(1));
  if (candidates <= 0) {
    if (!options.quiet) {
      context.out.line("(no completions)");
    }
    return 0;
  }
  if (candidates > kMaxCandidates) {
    throw Error(CALM_INVALID_ARGUMENT, fmt::format("--candidates: expected at most {}, found {}",
                                                   kMaxCandidates, candidates));
  }
  if (static_cast<std::int64_t>(prompt.size()) >= loaded.model->l_max()) {
    log_warning("the prompt has {} tokens and the model reads {}: nothing can be generated",
                prompt.size(), loaded.model->l_max());
  }
  const std::vector<std::string> stops =
      raw ? std::vector<std::string>()
          : text::parse_stop_conditions(loaded.metadata.stop_conditions);
  const std::unique_ptr<run::Session> session =
      context.open(candidates < kFewSequences ? CALM_WORKLOAD_DECODE : CALM_WORKLOAD_BATCH);
  generate::Generator generator(loaded, *session);

  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const std::vector<generate::Candidate> results = generator.generate(
      prompt, candidates, sampling, stops, [&context] { return context.runtime().cancelled(); });
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    tokens += results[i].ids.size();
    show(context, options, i + 1, results[i], render(options.rendering, prompt, results[i].ids));
  }
  if (!options.quiet) {
    context.out.line(fmt::format("generated {} tokens in {:.3f}s ({:.1f} tok/s)", tokens, seconds,
                                 static_cast<double>(tokens) / std::max(seconds, 1e-9)));
  }
  return 0;
}

}  // namespace

void declare_old_inference(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  Options &o = *options;
  app.add_option("-m,--model", o.model, "CWGT file")->required();
  app.add_option("-i,--input", o.input, "text for the model's template");
  app.add_option("-r,--raw", o.raw, "tokens as they are: bytes, <NAME>, <:ID:>");
  app.add_option("-k,--top-k", o.top_k, "keep the k likeliest tokens, 5; 0: off");
  app.add_option("-p,--top-p", o.top_p, "keep this share of the probability, 0: off");
  app.add_option("--min-p", o.min_p, "drop tokens below this share of the likeliest, 0: off");
  app.add_option("-t,--temperature", o.temperature, "0.8; 0: always the likeliest");
  app.add_option("--max-tokens", o.max_tokens, "longest continuation, 256");
  app.add_option("-n,--candidates", o.candidates, "independent continuations, 1");
  app.add_flag("-q,--quiet", o.quiet, "print the text alone");
  app.add_flag("--full", o.rendering.full, "put the prompt in front");
  app.add_flag("-s,--special-tokens", o.rendering.specials, "show special tokens by name");
  app.add_flag("--show-fields", o.show_fields, "print the fields of the template and end");
  app.add_flag("--model-defaults", o.model_defaults,
               "for flags not given, take what the model file carries");
  action = [options](Context &context) { return run_inference(context, *options); };
}

}  // namespace calm::cli
