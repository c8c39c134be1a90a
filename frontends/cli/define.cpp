#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/generate/generator.hpp"
#include "core/run/model_file.hpp"
#include "core/text/printable.hpp"
#include "core/text/stop.hpp"
#include "core/text/tokenizer.hpp"
#include "core/text/utf8.hpp"
#include "frontends/cli/context.hpp"
#include "frontends/cli/default_model.hpp"
#include "frontends/cli/definition.hpp"
#include "frontends/cli/parse.hpp"
#include "frontends/cli/prompt.hpp"
#include "frontends/cli/sampling.hpp"
#include "frontends/cli/verbs.hpp"

namespace calm::cli {

namespace {

struct Options {
  std::string model, weights;
  std::vector<std::string> words;
};

// One line, nothing a terminal must not see: a definition is text of a model.
std::string safe(std::string_view text) { return text::printable(text, text::LineFeeds::kEscape); }

void show_text(Context &context, std::string_view word, const Definition &definition) {
  std::string head = safe(word);
  if (!definition.ipa.empty()) {
    head += "  /" + safe(definition.ipa) + "/";
  }
  if (!definition.pos.empty()) {
    head += "  " + safe(definition.pos);
  }
  context.out.line(head);
  if (!definition.note.empty()) {
    context.out.line("   (" + safe(definition.note) + ")");
  }
  std::size_t number = 0;
  for (const Definition::Sense &sense : definition.senses) {
    context.out.line(fmt::format("{:2}. {}", ++number, safe(sense.text)));
    for (const Definition::Quote &quote : sense.quotes) {
      context.out.line(fmt::format("      \"{}\"{}{}", safe(quote.text),
                                   quote.author.empty() ? "" : " -- ", safe(quote.author)));
    }
  }
}

void show_json(Context &context, std::string_view word, const Definition &definition) {
  Json senses = Json::array();
  for (const Definition::Sense &sense : definition.senses) {
    Json quotes = Json::array();
    for (const Definition::Quote &quote : sense.quotes) {
      quotes.push_back({{"text", quote.text}, {"author", quote.author}});
    }
    senses.push_back({{"text", sense.text}, {"quotes", quotes}});
  }
  context.out.json({{"word", word},
                    {"pos", definition.pos},
                    {"ipa", definition.ipa},
                    {"note", definition.note},
                    {"definitions", senses}});
}

int run_define(Context &context, const Options &options) {
  const std::string model = find_model(options.model, "dictionary.cwgt");
  const std::string word = fmt::format("{}", fmt::join(options.words, " "));
  run::LoadedModel loaded = run::load_model(context.runtime(), model);
  const std::vector<text::Token> prompt = make_prompt(loaded, model, word, false);
  const std::unique_ptr<run::Session> session =
      context.open(CALM_WORKLOAD_DECODE, context.weights(options.weights));
  generate::Generator generator(loaded, *session);
  const std::vector<generate::Candidate> candidates =
      generator.generate(prompt, 1, model_sampling(loaded.metadata.sampler, context.seed()),
                         text::parse_stop_conditions(loaded.metadata.stop_conditions),
                         [&context] { return context.runtime().cancelled(); });
  const Definition definition = read_definition(candidates.front().ids);
  if (context.options.json) {
    show_json(context, text::replace_invalid_utf8(word), definition);
    return 0;
  }
  if (definition.senses.empty()) {
    throw Error(CALM_FAILED, fmt::format("{}: the model gave no definition", word));
  }
  show_text(context, word, definition);
  return 0;
}

}  // namespace

void add_define(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *verb = app.add_subcommand("define", "define a word");
  Options &o = *options;
  verb->add_option("-m,--model", o.model, "CWGT file; ~/.local/share/calm/dictionary.cwgt")
      ->envname("CALM_MODEL");
  add_weights_option(*verb, o.weights);
  verb->add_option("word", o.words, "the word, or words of one expression")->required();
  verb->callback([options, &action] {
    action = [options](Context &context) { return run_define(context, *options); };
  });
}

}  // namespace calm::cli
