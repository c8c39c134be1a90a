// What the layout tests know about the repository: its files, their lines, their #include
// directives.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace calm::layout {

namespace fs = std::filesystem;

// Path of the repository the tests were built from.
fs::path root();

// Regular files below root()/room with one of the extensions, sorted; empty extensions means all.
std::vector<fs::path> files_in(const std::string &room, const std::vector<std::string> &extensions);

std::vector<std::string> lines_of(const fs::path &file);

struct Include {
  std::size_t line;  // from 1
  bool quoted;       // "…" rather than <…>
  std::string target;
};

std::vector<Include> includes_of(const fs::path &file);

// Runs a shell command; `output` receives its stdout and stderr together. Returns its exit status.
int run(const std::string &command, std::string &output);

// Single-quoted for the shell.
std::string shell_quote(const std::string &text);

}  // namespace calm::layout
