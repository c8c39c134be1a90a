#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace calm::shell {

enum class HistoryKind { kBash, kZsh, kFish };

/// What a file is by its first lines and its name (no folder); none when it is no history. A file
/// whose name says nothing counts as bash's when `named`, since anything may be.
std::optional<HistoryKind> history_kind(std::string_view name, std::string_view text, bool named);

struct HistoryEntry {
  std::string command;  ///< as typed, line feeds too; UTF-8 as far as the file was
};

/// The commands of a history, oldest first: a line each, with `#time` lines between (bash), after
/// `: time:seconds;` and with metafied bytes (zsh), or as `- cmd: ` entries (fish).
std::vector<HistoryEntry> read_history(HistoryKind kind, std::string_view text);

/// Why a command of a history is not to be learnt: "leading blank", "several lines", "too long",
/// "control characters", "secret: token"; empty for one that may be.
std::string rejected(std::string_view command);

}  // namespace calm::shell
