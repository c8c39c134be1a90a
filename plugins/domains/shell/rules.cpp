#include "rules.hpp"

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "target.hpp"

namespace calm::shell {
namespace {

using Harm = std::optional<std::size_t>;

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> all) {
  return std::find(all.begin(), all.end(), text) != all.end();
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return out;
}

bool is_option(std::string_view word) { return word.size() > 1 && word[0] == '-'; }
bool is_long(std::string_view word) { return word.starts_with("--"); }
/// -rf has the flags r and f.
bool has_flag(std::string_view word, char flag) {
  return is_option(word) && !is_long(word) && word.find(flag, 1) != std::string_view::npos;
}
/// --rec, as long options may be cut off.
bool is_cut_of(std::string_view word, std::string_view option) {
  return word.size() > 2 && option.starts_with(word);
}

bool is_assignment(std::string_view word) {
  const std::size_t equals = word.find('=');
  return equals != std::string_view::npos && equals > 0 && word.find_first_of("0123456789") != 0 &&
         std::all_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(equals),
                     [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '+'; });
}

/// Runs the command that follows its options and `operands` more words. `valued`: letters of the
/// options whose value is a word of its own.
struct Runner {
  std::string_view name, valued;
  std::size_t operands;
};
constexpr Runner kRunners[] = {
    {"sudo", "ughpCrtUDRT", 0}, {"doas", "uC", 0},       {"env", "uC", 0},
    {"nohup", "", 0},           {"nice", "n", 0},        {"ionice", "cnp", 0},
    {"time", "fo", 0},          {"exec", "a", 0},        {"command", "", 0},
    {"builtin", "", 0},         {"noglob", "", 0},       {"setsid", "", 0},
    {"stdbuf", "ioe", 0},       {"timeout", "sk", 1},    {"xargs", "InPLdaEs", 0},
    {"chroot", "", 1},          {"busybox", "", 0},      {"toybox", "", 0},
    {"unbuffer", "", 0},        {"strace", "eopsu", 0},  {"parallel", "jN", 0},
    {"flock", "wE", 1},         {"caffeinate", "tw", 0}, {"pkexec", "", 0}};

std::string_view base_name(std::string_view word) {
  const std::size_t slash = word.find_last_of('/');
  return slash == std::string_view::npos ? word : word.substr(slash + 1);
}

/// Words after the name that are no options; all of them after `--`.
std::vector<const Word *> operands_of(const Plain &command) {
  std::vector<const Word *> out;
  bool options = true;
  for (const Word &word : command.words.subspan(1)) {
    if (options && word.chars == "--") {
      options = false;
    } else if (!options || !is_option(word.chars)) {
      out.push_back(&word);
    }
  }
  return out;
}

bool has_option(const Plain &command, char flag, std::string_view name) {
  for (const Word &word : command.words.subspan(1)) {
    if (word.chars == "--") {
      return false;
    }
    if ((flag != 0 && has_flag(word.chars, flag)) || is_cut_of(word.chars, name)) {
      return true;
    }
  }
  return false;
}

Harm verb(const Plain &command, bool harmful) {
  return harmful ? Harm(command.words[0].end()) : std::nullopt;
}

Harm remove(const Plain &command) {
  const bool recursive =
      has_option(command, 'r', "--recursive") || has_option(command, 'R', "--recursive");
  bool harmful = recursive && has_option(command, 0, "--no-preserve-root");
  for (const Word *operand : operands_of(command)) {
    const Target target = classify_target(operand->chars);
    const bool everything = target.system || target.here || target.unset;
    harmful = harmful || (everything && (recursive || target.globbed));
  }
  return verb(command, harmful);
}

Harm change_owner(const Plain &command) {
  if (!has_option(command, 'R', "--recursive")) {
    return std::nullopt;
  }
  const std::vector<const Word *> operands = operands_of(command);
  return verb(command, std::any_of(operands.begin(), operands.end(), [](const Word *operand) {
                const Target target = classify_target(operand->chars);
                return target.system || target.unset;
              }));
}

Harm make_file_system(const Plain &command) {
  const bool asks = has_option(command, 'V', "--version") || has_option(command, 'h', "--help");
  return verb(command, !asks && !operands_of(command).empty());
}

Harm write_device(const Plain &command) {
  for (const Word &word : command.words.subspan(1)) {
    const std::string_view text = word.chars;
    const std::string_view path =
        command.name == "dd" ? (text.starts_with("of=") ? text.substr(3) : std::string_view())
                             : text;
    // What cp reads from a device harms nobody.
    const bool written = command.name != "cp" || &word == &command.words.back();
    if (written && is_raw_device(path)) {
      return command.words[0].end();
    }
  }
  return std::nullopt;
}

Harm git(const Plain &command) {
  std::size_t sub = 1;
  while (sub < command.words.size() && is_option(command.words[sub].chars)) {
    sub += is_one_of(command.words[sub].chars, {"-C", "-c", "--git-dir", "--work-tree"}) ? 2u : 1u;
  }
  if (sub >= command.words.size()) {
    return std::nullopt;
  }
  const Plain inner{command.words[sub].chars, command.words.subspan(sub)};
  bool harmful = false;
  for (const Word &word : inner.words.subspan(1)) {
    const std::string_view text = word.chars;
    if (inner.name == "push") {
      // -o and --push-option take values, which may hold an f.
      const bool forces = text == "--force" || text == "--mirror" ||
                          (has_flag(text, 'f') && !text.starts_with("-o")) ||
                          (text.size() > 1 && text[0] == '+');
      harmful = harmful || forces;
    } else if (inner.name == "reset") {
      harmful = harmful || (text.size() > 3 && is_cut_of(text, "--hard"));
    } else if (inner.name == "clean") {
      harmful = harmful || has_flag(text, 'f') || is_cut_of(text, "--force");
    }
  }
  if (inner.name == "clean" && has_option(inner, 'n', "--dry-run")) {
    harmful = false;
  }
  return verb(inner, harmful);
}

// Every process the user may signal.
Harm kill_all(const Plain &command) {
  std::size_t i = 1;
  if (i < command.words.size() && is_option(command.words[i].chars)) {
    const std::string_view option = command.words[i].chars;
    if (option == "-l" || option == "-L") {
      return std::nullopt;
    }
    i += is_one_of(option, {"-s", "-n", "--signal"}) ? 2u : 1u;
  }
  for (; i < command.words.size(); ++i) {
    if (command.words[i].chars == "-1") {
      return command.words[0].end();
    }
  }
  return std::nullopt;
}

Harm find_and_delete(const Plain &command) {
  bool system = false;
  bool elsewhere = false;
  bool picks = false;
  Harm deletes;
  for (std::size_t i = 1; i < command.words.size(); ++i) {
    const std::string_view text = command.words[i].chars;
    if (text == "-delete") {
      deletes = command.words[i].end();
    } else if (is_one_of(text, {"-exec", "-execdir", "-ok"}) && i + 1 < command.words.size()) {
      if (is_one_of(base_name(command.words[i + 1].chars), {"rm", "shred"})) {
        deletes = command.words[i + 1].end();
      }
    } else if (is_option(text)) {
      picks = picks || !is_one_of(text, {"-type", "-depth", "-maxdepth", "-mindepth", "-print"});
    } else if (!picks && !deletes) {
      const Target target = classify_target(text);
      system = system || target.system || target.unset;
      elsewhere = elsewhere || !target.here;
    }
  }
  return system || (!picks && !elsewhere) ? deletes : std::nullopt;
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

}  // namespace

Plain plain(const Command &command) {
  std::span<const Word> words = command.words;
  const auto drop = [&words](std::size_t count) {
    words = words.subspan(std::min(count, words.size()));
  };
  while (!words.empty()) {
    const std::string_view text = words[0].chars;
    if (is_one_of(text, {"{", "}", "!", "then", "do", "else", "elif", "if", "while", "until",
                         "coproc"}) ||
        is_assignment(text)) {
      drop(1);
      continue;
    }
    const std::string_view name = base_name(text);
    const auto *runner = std::find_if(std::begin(kRunners), std::end(kRunners),
                                      [name](const Runner &r) { return r.name == name; });
    if (runner == std::end(kRunners) || words.size() == 1) {
      break;
    }
    drop(1);
    while (!words.empty() && (is_option(words[0].chars) || is_assignment(words[0].chars))) {
      const std::string_view option = words[0].chars;
      const bool valued = option.size() == 2 && option[0] == '-' &&
                          runner->valued.find(option[1]) != std::string_view::npos;
      drop(valued ? 2 : 1);
    }
    drop(runner->operands);
  }
  return {words.empty() ? std::string_view() : base_name(words[0].chars), words};
}

std::optional<std::size_t> harm_of(const Plain &command) {
  const std::string_view name = command.name;
  if (name == "rm" || name == "grm" || name == "srm") {
    return remove(command);
  }
  if (is_one_of(name, {"chmod", "chown", "chgrp"})) {
    return change_owner(command);
  }
  if (is_one_of(name, {"mkfs", "mke2fs", "wipefs", "blkdiscard", "mkswap", "newfs"}) ||
      name.starts_with("mkfs.")) {
    return make_file_system(command);
  }
  if (is_one_of(name, {"dd", "tee", "cp", "shred"})) {
    return write_device(command);
  }
  if (name == "git") {
    return git(command);
  }
  if (name == "kill") {
    return kill_all(command);
  }
  if (name == "find") {
    return find_and_delete(command);
  }
  if (name == "dropdb") {
    return verb(command, !operands_of(command).empty());
  }
  if (name == "mysqladmin") {
    for (const Word &word : command.words) {
      if (lower(word.chars) == "drop") {
        return word.end();
      }
    }
  }
  return std::nullopt;
}

bool is_shell(std::string_view name) {
  return is_one_of(
      name, {"sh", "bash", "zsh", "dash", "ksh", "mksh", "ash", "fish", "csh", "tcsh", "rbash"});
}

bool is_download(std::string_view name) {
  return is_one_of(name, {"curl", "wget", "aria2c", "fetch", "http", "https", "xh", "lynx"});
}

bool is_database_client(std::string_view name) {
  return is_one_of(
      name, {"psql", "mysql", "mariadb", "sqlite3", "sqlite", "sqlcmd", "cockroach",
             "clickhouse-client", "duckdb", "cqlsh", "sqlplus", "isql", "pgcli", "mycli", "usql"});
}

bool runs_its_input(const Plain &command) {
  const bool shell = is_shell(command.name);
  const std::string_view name = command.name.substr(0, command.name.find_first_of("0123456789."));
  if (!shell && !is_one_of(name, {"python", "perl", "ruby", "node", "php", "lua"})) {
    return command.name == "source" || command.name == ".";
  }
  for (std::size_t i = 1; i < command.words.size(); ++i) {
    const std::string_view word = command.words[i].chars;
    if (word == "-" || word == "/dev/stdin" || (shell && has_flag(word, 's'))) {
      return true;
    }
    if (shell && (word == "-o" || word == "+o" || word == "-O")) {
      ++i;
    } else if (!is_option(word) || !shell || has_flag(word, 'c')) {
      return false;  // a script of its own
    }
  }
  return true;
}

std::optional<std::size_t> drop_in(const Text &sql) {
  const std::string text = lower(sql.chars);
  std::size_t at = 0;
  std::string before;
  std::size_t before_end = 0;
  while (at < text.size()) {
    if (!is_word(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < text.size() && is_word(text[end])) {
      ++end;
    }
    const std::string word = text.substr(at, end - at);
    const bool object = is_one_of(word, {"table", "database", "schema", "view", "index", "user",
                                         "role", "keyspace", "tablespace", "owned", "collection"});
    if ((before == "drop" && object) || (before == "truncate" && word == "table")) {
      return before_end;
    }
    before = word;
    before_end = sql.ends[end - 1];
    at = end;
  }
  return std::nullopt;
}

}  // namespace calm::shell
