#include "fish.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <unordered_set>
#include <utility>

#include <common/plain.hpp>

#include "fish_words.hpp"

namespace calm::shell {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::size_t kLongestLine = std::size_t{1} << 14;
constexpr std::size_t kMaxVariables = 1024;
constexpr std::size_t kMaxPaths = 32;
constexpr std::size_t kMaxValues = 64;  // of one option
constexpr std::size_t kLongestCommand = 256;

// What one `complete` says.
struct Completion {
  std::vector<std::string> commands, shorts, longs, olds, conditions;
  std::vector<std::string> values;
  bool computed = false;  // the command or a condition is fish's to compute
  bool erases = false;
};

struct Flag {
  char letter;
  std::string_view name;
  bool valued;
};
constexpr Flag kFlags[] = {
    {'c', "command", true},
    {'p', "path", true},
    {'s', "short-option", true},
    {'l', "long-option", true},
    {'o', "old-option", true},
    {'a', "arguments", true},
    {'d', "description", true},
    {'n', "condition", true},
    {'w', "wraps", true},
    {'e', "erase", false},
    {'f', "no-files", false},
    {'F', "force-files", false},
    {'r', "require-parameter", false},
    {'x', "exclusive", false},
    {'k', "keep-order", false},
    {'u', "unauthoritative", false},
    {'A', "authoritative", false},
    {'C', "do-complete", true},
};

const Flag *find_flag(char letter) {
  const auto *const found = std::find_if(std::begin(kFlags), std::end(kFlags),
                                         [&](const Flag &flag) { return flag.letter == letter; });
  return found == std::end(kFlags) ? nullptr : found;
}

const Flag *find_flag(std::string_view name) {
  const auto *const found = std::find_if(std::begin(kFlags), std::end(kFlags),
                                         [&](const Flag &flag) { return flag.name == name; });
  return found == std::end(kFlags) ? nullptr : found;
}

void apply(const Flag &flag, const FishWord &value, Completion &out) {
  switch (flag.letter) {
    case 'c':
    case 'p':
      out.computed = out.computed || value.dynamic;
      for (const std::string &command : split_values(value.text)) {
        out.commands.push_back(command.substr(command.rfind('/') + 1));
      }
      break;
    case 's':
      out.shorts.push_back(value.dynamic ? std::string() : value.text);
      break;
    case 'l':
      out.longs.push_back(value.dynamic ? std::string() : value.text);
      break;
    case 'o':
      out.olds.push_back(value.dynamic ? std::string() : value.text);
      break;
    case 'a':
      if (!value.dynamic || value.text.find_first_of(" \t") != npos) {
        out.values = split_values(value.text);
      }
      break;
    case 'n':
      out.computed = out.computed || value.dynamic;
      out.conditions.push_back(value.text);
      break;
    case 'e':
      out.erases = true;
      break;
    default:
      break;
  }
}

Completion parse_complete(const std::vector<FishWord> &words) {
  Completion out;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string &word = words[i].text;
    const FishWord none;
    const auto next = [&]() -> const FishWord & {
      return i + 1 < words.size() ? words[++i] : none;
    };
    if (word.starts_with("--")) {
      const std::size_t equals = word.find('=');
      const Flag *flag =
          find_flag(std::string_view(word).substr(2, equals == npos ? npos : equals - 2));
      if (flag == nullptr) {
        continue;
      }
      if (flag->valued && equals == npos) {
        apply(*flag, next(), out);
      } else {
        apply(*flag, {equals == npos ? std::string() : word.substr(equals + 1), words[i].dynamic},
              out);
      }
    } else if (word.size() > 1 && word[0] == '-') {
      for (std::size_t at = 1; at < word.size(); ++at) {
        const Flag *flag = find_flag(word[at]);
        if (flag == nullptr) {
          break;
        }
        if (!flag->valued) {
          apply(*flag, none, out);
        } else {
          at + 1 < word.size() ? apply(*flag, {word.substr(at + 1), words[i].dynamic}, out)
                               : apply(*flag, next(), out);
          break;
        }
      }
    } else {
      apply(*find_flag('c'), words[i], out);
    }
  }
  return out;
}

using Paths = std::vector<std::string>;

// Whether the function of a condition takes the subcommands it waits for as words.
bool asks_for_subcommand(std::string_view function) {
  return function.ends_with("seen_subcommand_from") || function.ends_with("using_command") ||
         function.ends_with("using_subcommand") || function.ends_with("_command_groups");
}

bool asks_for_none(std::string_view function) {
  return function.ends_with("no_subcommand") || function.ends_with("use_subcommand") ||
         function.ends_with("needs_command") || function.ends_with("needs_subcommand") ||
         function.ends_with("is_first_token") || function.ends_with("is_first_arg") ||
         function.ends_with("no_arguments") || function.ends_with("no_argument") ||
         function.ends_with("needs_cmd");
}

// Adds the subcommands one part of a condition waits for; false when it cannot be told.
bool add_condition(std::string_view part, Paths &paths) {
  const FishVariables none;
  std::vector<FishWord> words = split_fish(part, none);
  bool negated = false;
  while (!words.empty() && (words[0].text == "and" || words[0].text == "begin" ||
                            words[0].text == "not" || words[0].text == "!")) {
    negated = negated || words[0].text == "not" || words[0].text == "!";
    words.erase(words.begin());
  }
  if (words.empty() || negated || words[0].text == "end") {
    return true;
  }
  if (asks_for_none(words[0].text)) {
    return true;
  }
  if (!asks_for_subcommand(words[0].text) || words.size() < 2) {
    return false;
  }
  Paths longer;
  for (const std::string &path : paths) {
    for (std::size_t i = 1; i < words.size() && longer.size() < kMaxPaths; ++i) {
      if (words[i].dynamic || words[i].text.starts_with("-")) {
        return false;
      }
      longer.push_back(path + " " + words[i].text);
    }
  }
  paths = std::move(longer);
  return !paths.empty();
}

std::optional<Paths> paths_of(const Completion &completion) {
  Paths paths = {""};
  for (std::string_view condition : completion.conditions) {
    while (!condition.empty()) {
      const std::size_t end = std::min(condition.find_first_of(";\n"), condition.size());
      const std::size_t both = condition.find("&&");
      const std::size_t cut = std::min(end, both);
      const std::string_view part = sources::trim(condition.substr(0, cut));
      if (part.starts_with("or ") || part.find("||") != npos) {
        return std::nullopt;
      }
      if (!part.empty() && !add_condition(part, paths)) {
        return std::nullopt;
      }
      condition.remove_prefix(std::min(cut + (cut == both ? 2 : 1), condition.size()));
    }
  }
  return paths;
}

class Reader {
 public:
  FishCommands read(std::string_view text) {
    while (!text.empty()) {
      std::string line(sources::take_line(text));
      while (line.ends_with("\\") && !text.empty() && line.size() < kLongestLine) {
        line.pop_back();
        line += sources::take_line(text);
      }
      if (line.size() < kLongestLine) {
        take(sources::trim(line));
      }
    }
    return std::move(out_);
  }

 private:
  void take(std::string_view line) {
    if (line.starts_with("set ")) {
      remember(split_fish(line, variables_));
    } else if (line.starts_with("complete ")) {
      complete(parse_complete(split_fish(line, variables_)));
    }
  }

  // set -l name word...
  void remember(const std::vector<FishWord> &words) {
    std::size_t at = 1;
    while (at < words.size() && words[at].text.starts_with("-")) {
      ++at;
    }
    if (at >= words.size() || words[at].dynamic || variables_.size() >= kMaxVariables) {
      return;
    }
    std::vector<std::string> values;
    for (std::size_t i = at + 1; i < words.size(); ++i) {
      if (words[i].dynamic) {
        variables_.erase(words[at].text);
        return;
      }
      values.push_back(words[i].text);
    }
    variables_[words[at].text] = std::move(values);
  }

  void complete(const Completion &completion) {
    const std::optional<Paths> paths = paths_of(completion);
    if (completion.erases || completion.computed || completion.commands.empty() || !paths) {
      out_.not_understood += completion.erases ? 0u : 1u;
      return;
    }
    for (const std::string &command : completion.commands) {
      for (const std::string &path : *paths) {
        add(command + path);
        options(command + path, completion);
      }
    }
  }

  void options(const std::string &base, const Completion &completion) {
    const std::size_t n = std::min(completion.values.size(), kMaxValues);
    const auto each = [&](const std::string &option, std::string_view joint) {
      if (n == 0) {
        add(option);
      }
      for (std::size_t i = 0; i < n; ++i) {
        add(option + std::string(joint) + completion.values[i]);
      }
    };
    const auto all = [&](const std::vector<std::string> &names, std::string_view dash,
                         std::string_view joint) {
      for (const std::string &name : names) {
        if (!name.empty()) {
          std::string option = base + " ";
          option += dash;
          each(option += name, joint);
        }
      }
    };
    all(completion.shorts, "-", " ");
    all(completion.longs, "--", "=");
    all(completion.olds, "-", " ");
    if (completion.shorts.empty() && completion.longs.empty() && completion.olds.empty() && n > 0) {
      each(base, " ");
    }
  }

  void add(const std::string &line) {
    if (line.size() <= kLongestCommand && !line.starts_with("-") && known_.insert(line).second) {
      out_.lines.push_back(line);
    }
  }

  FishVariables variables_;
  FishCommands out_;
  std::unordered_set<std::string> known_;
};

}  // namespace

FishCommands read_fish_completions(std::string_view text) { return Reader().read(text); }

}  // namespace calm::shell
