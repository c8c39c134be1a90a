#include "history.hpp"

#include <algorithm>
#include <calm/cpp/utf8.hpp>
#include <cstddef>
#include <utility>

#include <common/plain.hpp>

#include "secrets.hpp"

namespace calm::shell {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::size_t kLongestCommand = 512;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// `: 1690000000:0;` before a command; its length, 0 when it is not there.
std::size_t zsh_stamp(std::string_view line) {
  if (!line.starts_with(": ")) {
    return 0;
  }
  std::size_t at = std::min(line.find_first_not_of(' ', 1), line.size());
  const std::size_t first = at;
  while (at < line.size() && is_digit(line[at])) {
    ++at;
  }
  if (at == first || at == line.size() || line[at] != ':') {
    return 0;
  }
  const std::size_t second = ++at;
  while (at < line.size() && is_digit(line[at])) {
    ++at;
  }
  return at > second && at < line.size() && line[at] == ';' ? at + 1 : 0;
}

// zsh writes bytes that mean something to it as 0x83 and the byte with bit 5 flipped.
std::string unmetafied(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (static_cast<unsigned char>(text[i]) == 0x83 && i + 1 < text.size()) {
      out += static_cast<char>(static_cast<unsigned char>(text[++i]) ^ 0x20);
    } else {
      out += text[i];
    }
  }
  return out;
}

bool is_stamp(std::string_view line) {
  return line.size() > 1 && line[0] == '#' && std::all_of(line.begin() + 1, line.end(), is_digit);
}

std::vector<HistoryEntry> read_bash(std::string_view text) {
  std::vector<HistoryEntry> out;
  // With time stamps a command reaches to the next of them. They may begin late: they were turned
  // on then, or this is the end of a file.
  constexpr std::size_t kSeconds = 9;  // digits; "#12" in the midst is a comment somebody typed
  bool stamped = false;
  bool first = true;
  bool open = false;
  while (!text.empty()) {
    const std::string_view line = sources::take_line(text);
    stamped = stamped || (is_stamp(line) && (first || line.size() > kSeconds));
    first = first && line.empty();
    if (is_stamp(line)) {
      open = false;
    } else if (stamped && open) {
      out.back().command += '\n';
      out.back().command += line;
    } else {
      out.push_back({std::string(line)});
      open = true;
    }
  }
  return out;
}

std::vector<HistoryEntry> read_zsh(std::string_view text) {
  std::vector<HistoryEntry> out;
  bool open = false;
  while (!text.empty()) {
    std::string_view line = sources::take_line(text);
    const bool goes_on = std::exchange(open, line.ends_with("\\"));
    line.remove_suffix(open ? 1 : 0);
    if (goes_on) {
      out.back().command += '\n';
    } else {
      out.emplace_back();
      line.remove_prefix(zsh_stamp(line));
    }
    out.back().command += unmetafied(line);
  }
  return out;
}

std::vector<HistoryEntry> read_fish(std::string_view text) {
  constexpr std::string_view kEntry = "- cmd: ";
  std::vector<HistoryEntry> out;
  while (!text.empty()) {
    std::string_view line = sources::take_line(text);
    if (!line.starts_with(kEntry)) {
      continue;
    }
    line.remove_prefix(kEntry.size());
    std::string command;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const bool escape = line[i] == '\\' && i + 1 < line.size();
      if (escape && (line[i + 1] == 'n' || line[i + 1] == '\\')) {
        command += line[++i] == 'n' ? '\n' : '\\';
      } else {
        command += line[i];
      }
    }
    out.push_back({std::move(command)});
  }
  return out;
}

}  // namespace

std::optional<HistoryKind> history_kind(std::string_view name, std::string_view text, bool named) {
  std::string_view probe = text.substr(std::min(text.find_first_not_of("\r\n"), text.size()));
  const std::string_view first = probe.empty() ? probe : sources::take_line(probe);
  if (first.starts_with("- cmd: ") || name == "fish_history") {
    return HistoryKind::kFish;
  }
  const bool says_zsh = name.find("zsh_history") != npos || name.find("zhistory") != npos ||
                        name.find("histfile") != npos || name.find("zhist") != npos;
  if (zsh_stamp(first) > 0 || says_zsh) {
    return HistoryKind::kZsh;
  }
  if (named || name.find("history") != npos) {
    return HistoryKind::kBash;
  }
  return std::nullopt;
}

std::vector<HistoryEntry> read_history(HistoryKind kind, std::string_view text) {
  switch (kind) {
    case HistoryKind::kZsh:
      return read_zsh(text);
    case HistoryKind::kFish:
      return read_fish(text);
    case HistoryKind::kBash:
      break;
  }
  return read_bash(text);
}

std::string rejected(std::string_view command) {
  if (command.empty() || command[0] == ' ' || command[0] == '\t') {
    return command.empty() ? "empty" : "leading blank";
  }
  if (command.find('\n') != npos) {
    return "several lines";
  }
  if (command.size() > kLongestCommand) {
    return "too long";
  }
  if (!is_printable(command, "\t") || command.find("\xef\xbf\xbd") != npos) {
    return "control characters";
  }
  const std::string_view secret = find_secret(command);
  return secret.empty() ? std::string() : "secret: " + std::string(secret);
}

}  // namespace calm::shell
