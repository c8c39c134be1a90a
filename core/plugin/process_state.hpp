#pragma once

#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX, not <csignal>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace calm {

/// Rounding, flush-to-zero and trap bits of the unit that computes with floats; not the sticky
/// flags. A few cycles each. [any]
std::uint64_t float_control() noexcept;
void set_float_control(std::uint64_t control) noexcept;

/// Remembers what a library can change about the process while it is loaded, and puts it right
/// afterwards: how this thread computes with floats (a library linked with fast-math by an older
/// gcc switches it to flush-to-zero), its signal mask, the working directory, the locale, what
/// signals do. Results, messages and Ctrl-C must not depend on which plugins are installed.
class ProcessState {
 public:
  ProcessState();
  ~ProcessState();
  ProcessState(const ProcessState &) = delete;
  ProcessState &operator=(const ProcessState &) = delete;

  /// Restores what differs and adds a line about each to `changes`. Once. [session]
  void restore(std::vector<std::string> *changes);

 private:
  static constexpr int kSignals = 32;  // 1 to 31: those with a meaning

  std::uint64_t float_control_;
  unsigned short x87_control_ = 0;
  int folder_;  // descriptor of the working directory
  std::string locale_;
  sigset_t mask_{};
  std::array<struct sigaction, kSignals> actions_{};
};

}  // namespace calm
