#include "frontends/cli/parse.hpp"

#include <algorithm>
#include <cctype>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <calm/cpp/error.hpp>

#include "core/base/suggest.hpp"

namespace calm::cli {

namespace {

// The innermost verb that was given.
const CLI::App *given_verb(const CLI::App &app) {
  const CLI::App *verb = &app;
  while (!verb->get_subcommands().empty()) {
    verb = verb->get_subcommands().back();
  }
  return verb;
}

std::string help_command(const CLI::App &app) {
  std::string command = app.get_name();
  const CLI::App *verb = &app;
  while (!verb->get_subcommands().empty()) {
    verb = verb->get_subcommands().back();
    command += " " + verb->get_name();
  }
  return command + " --help";
}

std::vector<std::string> flags_of(const CLI::App &app) {
  std::vector<std::string> flags;
  for (const CLI::App *level : {given_verb(app), &app}) {
    for (const CLI::Option *option : level->get_options()) {
      for (const std::string &name : option->get_lnames()) {
        flags.push_back("--" + name);
      }
    }
  }
  return flags;
}

std::vector<std::string> verbs_of(const CLI::App &app) {
  std::vector<std::string> verbs;
  for (const CLI::App *verb : app.get_subcommands([](const CLI::App *) { return true; })) {
    verbs.push_back(verb->get_name());
  }
  return verbs;
}

// What the parser says, as one of our lines.
std::string tidy(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  // "Could not convert: --lr = abc"
  constexpr std::string_view kConvert = "Could not convert: ";
  const std::size_t equals = text.find(" = ");
  if (text.compare(0, kConvert.size(), kConvert) == 0 && equals != std::string::npos) {
    return fmt::format("{}: expected a number, found \"{}\"",
                       text.substr(kConvert.size(), equals - kConvert.size()),
                       text.substr(equals + 3));
  }
  while (!text.empty() && (text.back() == '.' || text.back() == ' ')) {
    text.pop_back();
  }
  const std::size_t colon = text.find(": ");
  for (const std::size_t start : {std::size_t{0}, colon == std::string::npos ? 0 : colon + 2}) {
    // A word, not a name in capitals.
    if (text.size() > start + 1 && std::islower(static_cast<unsigned char>(text[start + 1])) != 0) {
      text[start] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[start])));
    }
  }
  return text;
}

[[noreturn]] void refuse(const CLI::App &app, const CLI::ParseError &error) {
  std::vector<std::string> left = app.remaining(true);
  left.erase(std::find(left.begin(), left.end(), "--"), left.end());  // behind it nothing is wrong
  const CLI::App *verb = given_verb(app);
  const std::vector<std::string> verbs = verbs_of(*verb);
  std::string what = tidy(error.what());
  // A word nobody expected explains the rest: what is missing may be what was misspelt.
  if (!left.empty()) {
    const std::string &word = left.front();
    if (word.size() > 1 && word[0] == '-') {
      const std::string flag = word.substr(0, word.find('='));
      what = fmt::format("{}: unknown option{}", flag, did_you_mean(flag, flags_of(app)));
    } else if (!verbs.empty()) {
      what = fmt::format("{}: unknown verb{}", word, did_you_mean(word, verbs));
    } else {
      what = fmt::format("{}: unexpected argument", word);
    }
  } else if (!verbs.empty()) {
    what = fmt::format("expected a verb: {}", fmt::join(verbs, ", "));
  }
  throw Error(CALM_INVALID_ARGUMENT, fmt::format("{} (try {})", what, help_command(app)));
}

// The words in reverse, as the parser takes them. It would read past "--input=" to the next word
// for a value; here that value is the empty text.
std::vector<std::string> reversed(const std::vector<std::string> &words) {
  std::vector<std::string> list;
  bool options = true;
  for (const std::string &word : words) {
    options = options && word != "--";
    if (options && word.compare(0, 2, "--") == 0 && word.find('=') == word.size() - 1) {
      list.push_back(word.substr(0, word.size() - 1));
      list.emplace_back();
    } else {
      list.push_back(word);
    }
  }
  std::reverse(list.begin(), list.end());
  return list;
}

}  // namespace

void add_machine_options(CLI::App &app, GlobalOptions &options) {
  const std::map<std::string, Color> colors = {
      {"auto", Color::kAuto}, {"always", Color::kAlways}, {"never", Color::kNever}};
  app.add_option("--color", options.color, "auto, always or never")
      ->transform(CLI::CheckedTransformer(colors))
      ->option_text("WHEN");
  app.add_option("--plugin-path", options.plugin_path, "look for plugins here first; repeatable")
      ->option_text("DIR")
      ->allow_extra_args(false);
  app.add_option("--backend", options.backend, "auto, or a backend's name, \":device\" allowed")
      ->option_text("NAME")
      ->envname("CALM_BACKEND");
  app.add_option("--backend-option", options.backend_options,
                 "what the backend is to do otherwise; repeatable")
      ->option_text("KEY=VALUE")
      ->allow_extra_args(false)
      ->envname("CALM_BACKEND_OPTION");
  app.add_option("--threads", options.threads, "processors to use; 0: all")
      ->option_text("N")
      ->check(CLI::Range(0, 4096))
      ->envname("CALM_THREADS");
  app.add_option("--seed", options.seed, "of everything random")
      ->option_text("N")
      ->check(CLI::Range(std::int64_t{0}, std::numeric_limits<std::int64_t>::max()))
      ->envname("CALM_SEED");
}

void add_weights_option(CLI::App &verb, std::string &weights) {
  verb.add_option("--weights", weights, "how weights are kept while running: fp32, bf16 or int8")
      ->option_text("KIND")
      ->check(CLI::IsMember({"fp32", "bf16", "int8"}))
      ->envname("CALM_WEIGHTS");
}

bool parse(CLI::App &app, const std::vector<std::string> &words, Output &out) {
  try {
    app.parse(reversed(words));
    return true;
  } catch (const CLI::CallForHelp &) {
    out.write(app.help());
  } catch (const CLI::CallForVersion &version) {
    out.line(version.what());
  } catch (const CLI::ParseError &error) {
    refuse(app, error);
  }
  out.flush();
  return false;
}

}  // namespace calm::cli
