#include "core/base/log.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <string>

#include "core/text/printable.hpp"

namespace calm {
namespace {

std::atomic<calm_log_level> lowest_level{CALM_LOG_INFO};

std::string_view prefix(calm_log_level level) noexcept {
  switch (level) {
    case CALM_LOG_DEBUG:
      return "debug: ";
    case CALM_LOG_WARN:
      return "warning: ";
    default:
      return "";
  }
}

// In one call, so that lines of several threads do not mix, and without a lock or a buffer: plugins
// and workers may log while the program ends.
void write_all(std::string_view line) noexcept {
  while (!line.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return;  // there is nobody left to tell of a failure
    }
    line.remove_prefix(static_cast<std::size_t>(written));
  }
}

// What is said when there is no memory to say it with: cut, and anything but ASCII replaced.
void write_bare(calm_log_level level, std::string_view text) noexcept {
  std::array<char, 1024> line;
  std::size_t length = 0;
  for (const std::string_view part : {std::string_view("calm: "), prefix(level), text}) {
    for (const char c : part) {
      if (length < line.size() - 1) {
        line[length++] = c >= ' ' && c <= '~' ? c : '?';
      }
    }
  }
  line[length++] = '\n';
  write_all({line.data(), length});
}

void write_line(calm_log_level level, std::string_view text) noexcept {
  // A log that cannot be written must not end the work it reports on.
  try {
    std::string line = "calm: ";
    line += prefix(level);
    line += text::printable(text, text::LineFeeds::kEscape);
    line += '\n';
    write_all(line);
  } catch (...) {
    write_bare(level, text);
  }
}

}  // namespace

void set_log_level(calm_log_level lowest) noexcept {
  lowest_level.store(lowest, std::memory_order_relaxed);
}

calm_log_level log_level() noexcept { return lowest_level.load(std::memory_order_relaxed); }

void log_line(calm_log_level level, std::string_view text) noexcept {
  if (level >= log_level()) {
    write_line(level, text);
  }
}

void print_error(std::string_view message) noexcept { write_line(CALM_LOG_ERROR, message); }

}  // namespace calm
