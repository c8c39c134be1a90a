#include "destructive.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "parser.hpp"
#include "rules.hpp"
#include "target.hpp"

namespace calm::shell {
namespace {

constexpr std::size_t kMaxLine = std::size_t{1} << 16;
constexpr int kMaxScripts = 8;  // sh -c in sh -c

Text joined(std::span<const Word> words) {
  Text out;
  for (const Word &word : words) {
    if (!out.chars.empty()) {
      out.push(' ', out.end());
    }
    out.chars += word.chars;
    out.ends.insert(out.ends.end(), word.ends.begin(), word.ends.end());
  }
  return out;
}

bool downloads(const Command &command);
bool downloads(const std::vector<Command> &commands) {
  return std::any_of(commands.begin(), commands.end(),
                     [](const Command &command) { return downloads(command); });
}
bool downloads(const Command &command) {
  return is_download(plain(command).name) ||
         std::any_of(command.words.begin(), command.words.end(),
                     [](const Word &word) { return downloads(word.inside); });
}

// Words after the options; `valued`: letters of those whose value is a word of its own.
std::span<const Word> after_options(std::span<const Word> words, std::string_view valued) {
  words = words.subspan(1);
  while (!words.empty() && words[0].chars.starts_with("-")) {
    const std::string &option = words[0].chars;
    const bool two = option.size() == 2 && valued.find(option[1]) != std::string_view::npos;
    words = words.subspan(std::min<std::size_t>(two ? 2 : 1, words.size()));
  }
  return words;
}

class Inspector {
 public:
  void script(const Text &text) {
    if (scripts_ >= kMaxScripts) {
      blame(text.end());
      return;
    }
    ++scripts_;
    std::vector<Command> commands;
    if (!parse(text, commands)) {
      blame(text.end());
    }
    list(commands);
    --scripts_;
  }

  void blame(std::optional<std::size_t> end) {
    if (end) {
      found_ = std::max(found_.value_or(0), *end);
    }
  }
  std::optional<std::size_t> found() const { return found_; }

 private:
  void list(const std::vector<Command> &commands) {
    bool downloaded = false;
    bool database = false;
    for (const Command &command : commands) {
      database =
          database || std::any_of(command.words.begin(), command.words.end(), [](const Word &word) {
            return is_database_client(plain({{word}, {}}).name);
          });
    }
    for (const Command &command : commands) {
      for (const Word &target : command.targets) {
        if (is_raw_device(target.chars)) {
          blame(target.end());
        }
      }
      for (const Word &word : command.words) {
        list(word.inside);
      }
      const Plain now = plain(command);
      if (!now.words.empty()) {
        one(now, downloaded && command.piped);
        if (database) {
          blame(drop_in(joined(now.words)));
        }
      }
      downloaded = downloaded || downloads(command);
    }
  }

  void one(const Plain &command, bool fed) {
    blame(harm_of(command));
    // At the prompt of a database.
    if (const auto drop = drop_in(joined(command.words)); drop == command.words[0].end()) {
      blame(drop);
    }
    const bool evaluates = is_shell(command.name) || command.name == "eval" ||
                           command.name == "source" || command.name == ".";
    const bool given = std::any_of(command.words.begin() + 1, command.words.end(),
                                   [](const Word &word) { return downloads(word.inside); });
    if ((fed && runs_its_input(command)) || (evaluates && given) ||
        downloads(command.words[0].inside)) {
      blame(command.words[0].end());
    }
    scripts_of(command);
  }

  // What a command runs as another command line.
  void scripts_of(const Plain &command) {
    const std::span<const Word> words = command.words;
    if (command.name == "eval") {
      script(joined(words.subspan(1)));
    } else if (command.name == "watch") {
      script(joined(after_options(words, "nd")));
    } else if (command.name == "ssh") {
      const std::span<const Word> host = after_options(words, "BbcDEeFIiJLlmOopQRSWw");
      script(joined(host.subspan(std::min<std::size_t>(1, host.size()))));
    } else if (is_shell(command.name) || command.name == "su" || command.name == "script") {
      const auto option = std::find_if(words.begin() + 1, words.end(), [](const Word &word) {
        return word.chars.size() > 1 && word.chars[0] == '-' && word.chars[1] != '-' &&
               word.chars.find('c') != std::string::npos;
      });
      if (words.end() - option > 1) {
        script(option[1]);
      }
    } else if (command.name == "alias" || command.name == "trap") {
      for (const Word &word : words.subspan(1)) {
        const std::size_t equals =
            command.name == "alias" ? word.chars.find('=') : std::string::npos;
        script(equals == std::string::npos ? word.part(0) : word.part(equals + 1));
      }
    }
  }

  std::optional<std::size_t> found_;
  int scripts_ = 0;
};

// NAME() { NAME | NAME & } with any NAME, ":" first of all; white space and quotes do not count.
std::optional<std::size_t> fork_bomb(std::string_view line) {
  Text dense;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (std::string_view(" \t\n'\"\\").find(line[i]) == std::string_view::npos) {
      dense.push(line[i], i + 1);
    }
  }
  const std::string &text = dense.chars;
  for (std::size_t brace = text.find('{', 1); brace != std::string::npos;
       brace = text.find('{', brace + 1)) {
    std::string_view name = std::string_view(text).substr(0, brace);
    if (name.ends_with("()")) {
      name.remove_suffix(2);
    }
    name = name.substr(name.find_last_of(";&|(){}") + 1);  // all of it where there is none
    constexpr std::string_view kKeyword = "function";
    if (name.size() > kKeyword.size() && name.starts_with(kKeyword)) {
      name.remove_prefix(kKeyword.size());
    }
    const auto calls_itself_twice = [&](char joint) {
      std::string call(name);
      call += joint;
      call += name;
      call += '&';
      return text.find(call, brace) != std::string::npos;
    };
    if (!name.empty() && (calls_itself_twice('|') || calls_itself_twice('&'))) {
      return dense.ends[brace];
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::size_t> destructive(std::string_view line) {
  if (line.size() > kMaxLine) {
    return line.size();
  }
  Inspector inspector;
  inspector.script(whole(line));
  inspector.blame(fork_bomb(line));
  return inspector.found();
}

}  // namespace calm::shell
