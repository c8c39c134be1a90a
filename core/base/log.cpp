#include "core/base/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>

#include "core/text/printable.hpp"

namespace calm {
namespace {

std::atomic<calm_log_level> lowest_level{CALM_LOG_INFO};

// Leaked: plugins and workers may log while the program ends.
spdlog::logger &logger() {
  static spdlog::logger *const instance = [] {
    // Held until it is whole: without memory for the rest it is made again later.
    auto made =
        std::make_unique<spdlog::logger>("calm", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("calm: %v");
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::trace);
    return made.release();
  }();
  return *instance;
}

spdlog::level::level_enum spdlog_level(calm_log_level level) noexcept {
  switch (level) {
    case CALM_LOG_DEBUG:
      return spdlog::level::debug;
    case CALM_LOG_INFO:
      return spdlog::level::info;
    case CALM_LOG_WARN:
      return spdlog::level::warn;
    default:
      return spdlog::level::err;
  }
}

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
  // There is nobody left to tell of a failure.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), length);
}

void write_line(calm_log_level level, std::string_view text) noexcept {
  // A log that cannot be written must not end the work it reports on.
  try {
    std::string line(prefix(level));
    line += text::printable(text, text::LineFeeds::kEscape);
    logger().log(spdlog_level(level), line);
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
