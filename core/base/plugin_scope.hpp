#pragma once

#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX, not <csignal>

#include <array>
#include <cstdint>

namespace calm {

/// The plugin whose code a thread is in, so that a crash can name it.
struct PluginActivity {
  const char *plugin = nullptr;  ///< who, printable and terminated; null: the program itself
  const char *doing = nullptr;   ///< "while it was being loaded", static storage
};

/// Marks this thread as being in a plugin's code until the end of the scope; scopes nest. Two
/// stores into thread-local memory. `plugin` must outlive the scope. [any]
class PluginScope {
 public:
  PluginScope(const char *plugin, const char *doing) noexcept;
  /// For a worker that continues what another thread does.
  explicit PluginScope(const PluginActivity &activity) noexcept;
  ~PluginScope();
  PluginScope(const PluginScope &) = delete;
  PluginScope &operator=(const PluginScope &) = delete;

  static PluginActivity current() noexcept;

 private:
  PluginActivity previous_;
};

/// While it lives, a fatal signal (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) inside a plugin prints
/// "calm: plugin WHO: SIGNAL while it was …" before it takes its course: the handler that was there
/// before, or the default, gets it too, so the exit status and a core file are those of the fault.
/// An exit() inside a plugin prints the like and ends the process with the code of CALM_INTERNAL:
/// results that the program did not finish are not to look finished. Nothing can be said of _exit()
/// or of a plugin that never returns: a plugin runs in this process and is trusted code.
/// For the main function of a program, one at a time.
class FaultScope {
 public:
  FaultScope();
  ~FaultScope();
  FaultScope(const FaultScope &) = delete;
  FaultScope &operator=(const FaultScope &) = delete;

 private:
  stack_t previous_stack_{};
};

}  // namespace calm
