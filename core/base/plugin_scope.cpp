#include "core/base/plugin_scope.hpp"

#include <calm/base.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <calm/cpp/error.hpp>

namespace calm {
namespace {

// Read by a signal handler: constant-initialised, so that reading it runs no code.
constinit thread_local PluginActivity activity{};

struct Fatal {
  int number;
  const char *name;
};
constexpr std::array<Fatal, 5> kFatal = {{{SIGSEGV, "SIGSEGV"},
                                          {SIGBUS, "SIGBUS"},
                                          {SIGFPE, "SIGFPE"},
                                          {SIGILL, "SIGILL"},
                                          {SIGABRT, "SIGABRT"}}};

// What a handler may touch has to outlive every object, so it cannot be a member.
std::array<struct sigaction, kFatal.size()> previous{};
std::atomic<bool> watching{false};
// A plugin that overflows its stack is told of from here.
alignas(16) std::array<char, 32768> handler_stack{};

// One line in one write, so that threads that fault together do not write into each other's;
// nothing but write(2) is called, since this runs in signal handlers. The first fault is the one to
// tell.
void say_who(const char *what) noexcept {
  static std::atomic<bool> told{false};
  if (told.exchange(true)) {
    return;
  }
  std::array<char, 4608> line;  // a path and some words
  std::size_t length = 0;
  for (const char *part : {"calm: plugin ", activity.plugin, ": ", what, " ", activity.doing}) {
    const std::size_t bytes = std::min(std::strlen(part), line.size() - 1 - length);
    std::memcpy(line.data() + length, part, bytes);
    length += bytes;
  }
  line[length++] = '\n';
  // There is nobody left to tell of a failure.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), length);
}

void tell_of_fault(int number, siginfo_t *info, void *) {
  for (std::size_t i = 0; i < kFatal.size(); ++i) {
    if (kFatal[i].number != number) {
      continue;
    }
    if (activity.plugin != nullptr) {
      say_who(kFatal[i].name);
    }
    ::sigaction(number, &previous[i], nullptr);
  }
  // A fault happens again when the instruction is run again; a signal that was sent does not.
  if (info == nullptr || info->si_code <= 0) {
    ::raise(number);
  }
}

void tell_of_exit() {
  if (watching.load() && activity.plugin != nullptr) {
    say_who("exit() was called");
    std::fflush(stdout);
    ::_exit(exit_code(CALM_INTERNAL));
  }
}

}  // namespace

PluginScope::PluginScope(const char *plugin, const char *doing) noexcept : previous_(activity) {
  activity = {plugin, doing};
}

PluginScope::PluginScope(const PluginActivity &now) noexcept : previous_(activity) {
  activity = now;
}

PluginScope::~PluginScope() { activity = previous_; }

PluginActivity PluginScope::current() noexcept { return activity; }

FaultScope::FaultScope() {
  static const int registered = std::atexit(tell_of_exit);
  (void)registered;  // without it an exit is only not named
  stack_t stack{};
  stack.ss_sp = handler_stack.data();
  stack.ss_size = handler_stack.size();
  ::sigaltstack(&stack, &previous_stack_);
  struct sigaction action {};
  ::sigemptyset(&action.sa_mask);
  // SA_NODEFER: raise() within the handler takes effect at once.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  action.sa_sigaction = tell_of_fault;
  for (std::size_t i = 0; i < kFatal.size(); ++i) {
    ::sigaction(kFatal[i].number, &action, &previous[i]);
  }
  watching.store(true);
}

FaultScope::~FaultScope() {
  watching.store(false);
  for (std::size_t i = 0; i < kFatal.size(); ++i) {
    ::sigaction(kFatal[i].number, &previous[i], nullptr);
  }
  ::sigaltstack(&previous_stack_, nullptr);
}

}  // namespace calm
