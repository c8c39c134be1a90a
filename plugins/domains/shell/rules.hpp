#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "parser.hpp"

namespace calm::shell {

/// A simple command without assignments, reserved words and what runs another command (sudo, env,
/// xargs, ...).
struct Plain {
  std::string_view name;        ///< the last part of its path
  std::span<const Word> words;  ///< words[0] is the name as written
};
Plain plain(const Command &command);

/// Where the word that does the harm ends on the line, for one command apart from the others; none
/// for a harmless one.
std::optional<std::size_t> harm_of(const Plain &command);

/// Reads a script from its input, `sh` or `python3 -`; with `sh -c TEXT` it does not.
bool runs_its_input(const Plain &command);
bool is_shell(std::string_view name);
bool is_download(std::string_view name);
bool is_database_client(std::string_view name);

/// The DROP or TRUNCATE of an SQL text.
std::optional<std::size_t> drop_in(const Text &sql);

}  // namespace calm::shell
