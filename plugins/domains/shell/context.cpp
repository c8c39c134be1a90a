#include "context.hpp"

#include <algorithm>
#include <calm/cpp/utf8.hpp>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <common/plain.hpp>
#include <common/sources.hpp>
#include <common/utf8_repair.hpp>

#include "git.hpp"
#include "history.hpp"

namespace calm::shell {
namespace {

constexpr std::size_t kTail = std::size_t{1} << 16;  // of a history
constexpr std::size_t kCommands = 5;
constexpr std::size_t kLongestHint = 64;

// Files that say what kind of work is done in a folder.
constexpr const char *kProjectFiles[] = {
    "Makefile",     "CMakeLists.txt", "meson.build",        "Cargo.toml", "go.mod",
    "package.json", "pyproject.toml", "requirements.txt",   "setup.py",   "Gemfile",
    "pom.xml",      "build.gradle",   "docker-compose.yml", "Dockerfile", "Vagrantfile",
    "composer.json"};

std::string variable(const char *name) {
  const char *value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

struct Ran {
  std::string command;
  std::string exit;  // empty when not known
};

// "CODE TAB COMMAND" or "COMMAND".
Ran parse_ran(std::string_view line) {
  const std::size_t tab = line.find('\t');
  const std::string_view code = line.substr(0, std::min(tab, line.size()));
  const bool is_code = tab != std::string_view::npos && !code.empty() && code.size() <= 3 &&
                       code.find_first_not_of("0123456789") == std::string_view::npos;
  return is_code ? Ran{std::string(line.substr(tab + 1)), std::string(code)}
                 : Ran{std::string(line), {}};
}

// The whole lines at the end of a file.
std::optional<std::string> tail_of(const std::string &path) {
  std::optional<std::string> text = sources::read_end(path, kTail);
  if (text && text->size() == kTail) {
    text->erase(0, std::min(text->find('\n'), text->size() - 1) + 1);
  }
  return text;
}

std::string history_path() {
  if (std::string file = variable("HISTFILE"); !file.empty()) {
    return file;
  }
  const std::string home = variable("HOME");
  const std::string shell = variable("SHELL");
  if (shell.ends_with("fish")) {
    const std::string data = variable("XDG_DATA_HOME");
    return (data.empty() ? home + "/.local/share" : data) + "/fish/fish_history";
  }
  return home + (shell.ends_with("zsh") ? "/.zsh_history" : "/.bash_history");
}

std::vector<Ran> last_commands() {
  std::vector<Ran> all;
  if (const std::string own = variable("CALM_HISTORY"); !own.empty()) {
    const std::string text = tail_of(own).value_or("");
    for (std::string_view rest = text; !rest.empty();) {
      all.push_back(parse_ran(sources::take_line(rest)));
    }
  } else {
    const std::string path = history_path();
    const std::string text = tail_of(path).value_or("");
    if (const auto kind = history_kind(sources::file_name(path), text, true)) {
      for (const HistoryEntry &entry : read_history(*kind, text)) {
        all.push_back({entry.command, {}});
      }
    }
  }
  std::vector<Ran> out;
  for (auto ran = all.rbegin(); ran != all.rend() && out.size() < kCommands; ++ran) {
    ran->command = sources::repair_utf8(ran->command);
    if (rejected(ran->command).empty()) {
      ran->command = sources::plain_text(ran->command);
      out.push_back(*ran);
    }
  }
  std::reverse(out.begin(), out.end());
  return out;
}

void environment(std::string_view cwd, const FieldSink &field) {
  for (const char *name : {"VIRTUAL_ENV", "CONDA_DEFAULT_ENV"}) {
    std::string value = variable(name);
    value = value.substr(value.rfind('/') + 1);
    if (!value.empty() && value.size() <= kLongestHint && is_printable(value)) {
      field("env", std::string(name) + "=" + value);
    }
  }
  for (const char *name : kProjectFiles) {
    std::error_code ignored;
    if (std::filesystem::exists(std::filesystem::path(cwd) / name, ignored)) {
      field("env", name);
    }
  }
}

}  // namespace

void gather_context(std::string_view cwd, const FieldSink &field) {
  if (is_printable(cwd)) {
    field("cwd", cwd);
  }
  if (const std::string git = git_state(cwd); !git.empty()) {
    field("git", git);
  }
  for (const Ran &ran : last_commands()) {
    field("history", ran.command);
    if (!ran.exit.empty()) {
      field("exit", ran.exit);
    }
  }
  environment(cwd, field);
}

}  // namespace calm::shell
