#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/generate/generator.hpp"
#include "core/run/model_file.hpp"
#include "core/text/field_input.hpp"
#include "core/text/stop.hpp"
#include "core/text/template.hpp"
#include "core/text/tokenizer.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/parse.hpp"
#include "frontends/cli/progress.hpp"
#include "frontends/cli/prompt.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

struct Options {
  std::string model, input, raw, weights;
  bool input_given = false;
  std::optional<double> temperature, top_p, min_p;
  std::optional<std::int64_t> top_k, max_tokens, candidates;
  Rendering rendering;
  bool show_fields = false;
};

// What the user typed, before a model is looked at. Waits for a person, so it comes before signals
// are caught.
std::string read_input(const Options &options) {
  if (!options.raw.empty() && !options.input.empty()) {
    throw Error(CALM_INVALID_ARGUMENT, "--raw and --input exclude each other");
  }
  if (!options.raw.empty()) {
    return options.raw;
  }
  if (options.input_given) {
    return options.input;
  }
  if (is_terminal(stdin)) {
    throw Error(CALM_INVALID_ARGUMENT,
                "expected --input TEXT, --raw TEXT or a text on standard input "
                "(try calm generate --help)");
  }
  return read_standard_input();
}

// Flag, else what the model file carries, else the default.
generate::Sampling make_sampling(const Options &options, const run::SamplerDefaults &file,
                                 std::uint64_t seed) {
  generate::Sampling s;
  s.temperature = options.temperature.value_or(file.temperature.value_or(s.temperature));
  s.top_k = options.top_k.value_or(file.top_k.value_or(s.top_k));
  s.top_p = options.top_p.value_or(file.top_p.value_or(s.top_p));
  s.min_p = options.min_p.value_or(file.min_p.value_or(s.min_p));
  s.max_tokens = options.max_tokens.value_or(file.max_tokens.value_or(s.max_tokens));
  s.seed = seed;
  return s;
}

void show(Context &context, const Options &options, std::size_t index,
          const generate::Candidate &candidate, const std::string &rendered) {
  if (context.options.json) {
    context.out.json({{"index", index},
                      {"score", candidate.score},
                      {"text", rendered},
                      {"ids", candidate.ids},
                      {"stop", generate::stop_name(candidate.stop)}});
    return;
  }
  if (!context.options.quiet) {
    context.out.write(fmt::format("[{}] {:.4f}  ", index, candidate.score));
  }
  if (options.rendering.raw_bytes) {
    context.out.write(rendered);
  } else {
    context.out.untrusted(rendered);
  }
  context.out.line("");
}

int run_generate(Context &context, const Options &options) {
  const std::string input = options.show_fields ? std::string() : read_input(options);
  run::LoadedModel loaded = run::load_model(context.runtime(), options.model);
  context.note(fmt::format("model: d={} L={} params={}", loaded.model->config().integer("d_model"),
                           loaded.model->config().integer("n_layers"),
                           loaded.model->param_count()));
  if (options.show_fields) {
    context.out.untrusted(text::describe_fields(loaded.metadata.template_spec));
    return 0;
  }
  const std::vector<text::Token> prompt =
      make_prompt(loaded, options.model, input, !options.raw.empty());
  const generate::Sampling sampling =
      make_sampling(options, loaded.metadata.sampler, context.seed());
  const std::int64_t candidates =
      options.candidates.value_or(loaded.metadata.sampler.candidates.value_or(1));
  if (static_cast<std::int64_t>(prompt.size()) >= loaded.model->l_max()) {
    log_warning("the prompt has {} tokens and the model reads {}: nothing can be generated",
                prompt.size(), loaded.model->l_max());
  }
  // Stop conditions are the domain's: a raw prompt has none (spec N.3).
  const std::vector<std::string> stops =
      options.raw.empty() ? text::parse_stop_conditions(loaded.metadata.stop_conditions)
                          : std::vector<std::string>();
  const std::unique_ptr<run::Session> session =
      context.open(candidates < kFewSequences ? CALM_WORKLOAD_DECODE : CALM_WORKLOAD_BATCH,
                   context.weights(options.weights));
  generate::Generator generator(loaded, *session);

  const auto start = std::chrono::steady_clock::now();
  const std::vector<generate::Candidate> results = generator.generate(
      prompt, candidates, sampling, stops, [&context] { return context.runtime().cancelled(); });
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    tokens += results[i].ids.size();
    show(context, options, i + 1, results[i], render(options.rendering, prompt, results[i].ids));
  }
  context.out.flush();
  context.note(fmt::format("generated {} tokens in {:.3f}s ({:.1f} tok/s)", tokens, seconds,
                           static_cast<double>(tokens) / std::max(seconds, 1e-9)));
  return 0;
}

}  // namespace

void add_generate(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *verb = app.add_subcommand("generate", "continue a prompt");
  Options &o = *options;
  const CLI::Validator finite(
      [](std::string &value) {
        const double number = std::strtod(value.c_str(), nullptr);
        return std::isfinite(number) ? std::string() : "expected a finite number, found " + value;
      },
      "");
  verb->add_option("-m,--model", o.model, "CWGT file")->required();
  auto *input = verb->add_option("-i,--input", o.input, "text for the model's template");
  verb->add_option("-r,--raw", o.raw, "tokens as they are: bytes, <NAME>, <:ID:>");
  verb->add_option("-k,--top-k", o.top_k, "keep the k likeliest tokens, 5; 0: off");
  verb->add_option("-p,--top-p", o.top_p, "keep this share of the probability; 0: off")
      ->check(finite);
  verb->add_option("--min-p", o.min_p, "drop tokens below this share of the likeliest; 0: off")
      ->check(finite);
  verb->add_option("-t,--temperature", o.temperature, "0.8; 0: always the likeliest")
      ->check(finite);
  verb->add_option("--max-tokens", o.max_tokens, "longest continuation, 256")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("-n,--candidates", o.candidates, "independent continuations, 1")
      ->check(CLI::Range(std::int64_t{1}, kMaxCandidates));
  add_weights_option(*verb, o.weights);
  verb->add_flag("--full", o.rendering.full, "put the prompt in front");
  verb->add_flag("-s,--special-tokens", o.rendering.specials, "show special tokens by name");
  verb->add_flag("--show-fields", o.show_fields, "print the fields of the template and end");
  verb->add_flag("--raw-bytes", o.rendering.raw_bytes,
                 "the model's bytes, unescaped even on a terminal");
  verb->callback([options, input, &action] {
    options->input_given = input->count() > 0;
    action = [options](Context &context) { return run_generate(context, *options); };
  });
}

}  // namespace calm::cli
