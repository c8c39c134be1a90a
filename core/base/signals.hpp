#pragma once

#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX, not <csignal>

#include <array>
#include <atomic>

namespace calm {

/// While it lives, the first SIGINT, SIGTERM or SIGHUP asks the program to stop instead of ending
/// it; a SIGINT after that ends the process at once with 128 + SIGINT. SIGPIPE and SIGXFSZ are
/// ignored, so a closed pipe and a file limit are write errors. A signal that was ignored when the
/// program started (nohup) stays ignored. System calls are restarted: a program that waits for a
/// terminal's input does that before. One at a time; destruction restores what was there.
class SignalScope {
 public:
  SignalScope();
  ~SignalScope();
  SignalScope(const SignalScope &) = delete;
  SignalScope &operator=(const SignalScope &) = delete;

  /// The first signal that asked to stop, 0 while there was none. [any]
  static int received() noexcept;
  /// 128 + received(): exit code of a program that stopped because of it.
  static int exit_code() noexcept;
  /// What Host takes.
  static const std::atomic<int> *flag() noexcept;

 private:
  std::array<struct sigaction, 5> previous_{};
};

}  // namespace calm
