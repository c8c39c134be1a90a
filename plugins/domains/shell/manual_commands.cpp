#include "manual_commands.hpp"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include <common/plain.hpp>

namespace calm::shell {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::size_t kLongestSynopsis = 4096;
constexpr std::size_t kLongestCommand = 256;
constexpr std::size_t kMaxForms = 64;

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

// A synopsis as a tree flattened to words and brackets.
std::vector<std::string> tokens_of(std::string_view text) {
  std::vector<std::string> out;
  std::string word;
  const auto finish = [&] {
    if (!word.empty()) {
      out.push_back(std::exchange(word, {}));
    }
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '[' || c == ']' || c == '{' || c == '}' || c == '|') {
      finish();
      out.emplace_back(1, c);
    } else if (c == ' ' || c == '\n' || c == '\t') {
      finish();
    } else {
      word += c;
    }
  }
  finish();
  return out;
}

// "--depth=<n>" and "-o FILE" name what the user fills in: an option that ends there says enough.
bool is_placeholder(std::string_view word) {
  return word.empty() || word.find_first_of("<>()'\"`;&\\") != npos || word.find("...") != npos ||
         word.find("\xe2\x80\xa6") != npos;
}

bool is_option(std::string_view word) {
  return word.size() > 1 && word[0] == '-' && word != "--" && !is_placeholder(word) &&
         (is_lower(word.back()) || (word.back() >= '0' && word.back() <= '9') || word.size() == 2);
}

// "--depth" of "--depth=<n>".
std::string option_of(std::string_view word) {
  const std::size_t equals = word.find('=');
  const std::string_view name = word.substr(0, equals);
  return is_option(name) ? std::string(name) : std::string();
}

// The words of the command itself: "git remote add".
std::string base_of(const std::vector<std::string> &tokens, const sources::Manual &manual) {
  if (tokens.empty()) {
    return {};
  }
  const auto is_name = [&](std::string_view word) {
    return word == manual.name || manual.name.starts_with(std::string(word) + "-") ||
           std::find(manual.names.begin(), manual.names.end(), word) != manual.names.end();
  };
  if (!is_name(tokens[0])) {
    return {};
  }
  std::string base = tokens[0];
  // "git remote": the page is git-remote.
  for (std::size_t i = 1; i < tokens.size() && i < 4; ++i) {
    const bool word = std::all_of(tokens[i].begin(), tokens[i].end(),
                                  [](char c) { return is_lower(c) || c == '-'; });
    if (!word || tokens[i].starts_with("-") || !(manual.name + "-").starts_with(tokens[0] + "-") ||
        manual.name == tokens[0]) {
      break;
    }
    base += " " + tokens[i];
  }
  return base;
}

void add_synopsis(std::string_view line, const sources::Manual &manual,
                  std::vector<std::string> &out) {
  const std::vector<std::string> tokens = tokens_of(line.substr(0, kLongestSynopsis));
  const std::string base = base_of(tokens, manual);
  if (base.empty()) {
    return;
  }
  out.push_back(base);
  for (const std::string &token : tokens) {
    const std::string option = option_of(token);
    if (!option.empty() && out.size() < kMaxForms) {
      out.push_back(base + " ");
      out.back() += option;
    }
  }
}

// An example line without its prompt; empty when it is no command.
std::string_view command_of(std::string_view line, const sources::Manual &manual) {
  line = sources::trim(line);
  bool prompted = false;
  for (const std::string_view prompt : {"$ ", "# ", "% "}) {
    if (line.starts_with(prompt)) {
      line = sources::trim(line.substr(prompt.size()));
      prompted = prompt != "# ";  // or a comment
      break;
    }
  }
  const std::string_view word = line.substr(0, line.find(' '));
  const bool own =
      word == manual.name || manual.name.starts_with(std::string(word) + "-") ||
      std::find(manual.names.begin(), manual.names.end(), word) != manual.names.end() ||
      word == "sudo";
  const bool command = !word.empty() && (is_lower(word[0]) || word[0] == '.' || word[0] == '/') &&
                       !word.ends_with(":") && !word.ends_with(",");
  return command && (own || prompted) ? line : std::string_view();
}

bool is_heading(std::string_view heading, std::string_view wanted) {
  return sources::to_lower(heading).starts_with(wanted);
}

void add_examples(const sources::ManualBlock &block, const sources::Manual &manual,
                  std::vector<std::string> &out) {
  // A tag may be the command that its text explains.
  for (const std::string *text : {&block.tag, &block.text}) {
    if (text == &block.text && block.kind != sources::ManualBlock::Kind::kCode) {
      break;
    }
    std::string_view rest = *text;
    while (!rest.empty()) {
      std::string_view line = sources::trim(sources::take_line(rest));
      std::string whole(line);
      while (whole.ends_with("\\") && !rest.empty() && whole.size() < kLongestCommand) {
        whole.pop_back();
        whole += sources::trim(sources::take_line(rest));
      }
      const std::string_view command = command_of(whole, manual);
      // A comment after it is the author's.
      const std::size_t comment = command.find(" # ");
      const std::string_view kept = sources::trim(command.substr(0, comment));
      if (kept.find(' ') != npos && kept.size() <= kLongestCommand && kept.find("...") == npos) {
        out.emplace_back(kept);
      }
    }
  }
}

}  // namespace

ManualCommands commands_of(const sources::Manual &manual) {
  ManualCommands out;
  if (manual.section.empty() || std::string_view("168").find(manual.section[0]) == npos) {
    return out;
  }
  for (const sources::ManualSection &section : manual.sections) {
    for (const sources::ManualBlock &block : section.blocks) {
      if (is_heading(section.heading, "synopsis")) {
        // A line that goes on begins with a blank or a bracket.
        std::string_view rest = block.text;
        std::string form;
        while (!rest.empty()) {
          const std::string_view line = sources::take_line(rest);
          const bool goes_on = !form.empty() && (line.empty() || line[0] == ' ' || line[0] == '[');
          if (!goes_on) {
            add_synopsis(std::exchange(form, {}), manual, out.synopsis);
          }
          form += form.empty() ? "" : " ";
          form += line;
        }
        add_synopsis(form, manual, out.synopsis);
      } else if (is_heading(section.heading, "example") ||
                 is_heading(section.subheading, "example")) {
        add_examples(block, manual, out.examples);
      }
    }
  }
  return out;
}

}  // namespace calm::shell
