#pragma once

#include <calm/host.h>
#include <fmt/core.h>

#include <string_view>
#include <utility>

namespace calm {

/// Lines below this level are dropped. CALM_LOG_INFO at start; -q asks for WARN, -v for DEBUG.
/// [any]
void set_log_level(calm_log_level lowest) noexcept;
calm_log_level log_level() noexcept;

/// One line on stderr: "calm: TEXT" for INFO and ERROR, "calm: warning: TEXT", "calm: debug: TEXT".
/// Control characters in the text are escaped: it may hold names from files. [any]
void log_line(calm_log_level level, std::string_view text) noexcept;

/// "calm: MESSAGE" at any level: the last line of a program that failed. [any]
void print_error(std::string_view message) noexcept;

template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args &&...args) {
  if (log_level() <= CALM_LOG_DEBUG) {
    log_line(CALM_LOG_DEBUG, fmt::format(format, std::forward<Args>(args)...));
  }
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args &&...args) {
  if (log_level() <= CALM_LOG_INFO) {
    log_line(CALM_LOG_INFO, fmt::format(format, std::forward<Args>(args)...));
  }
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args &&...args) {
  if (log_level() <= CALM_LOG_WARN) {
    log_line(CALM_LOG_WARN, fmt::format(format, std::forward<Args>(args)...));
  }
}

}  // namespace calm
