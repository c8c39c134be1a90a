#include "core/comm/child.hpp"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX, not <csignal>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"

namespace calm::comm {

namespace {

// A defect would come again with the next run; whoever was killed may have better luck.
bool is_crash(int signal) {
  return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
         signal == SIGABRT || signal == SIGSYS;
}

/// `handed_on`: the last signal that the child had from its parent; 0: none.
[[noreturn]] void end_like(int status, std::uint32_t rank, int handed_on) {
  if (WIFEXITED(status)) {
    ::_exit(WEXITSTATUS(status));
  }
  const int signal = WTERMSIG(status);
  if (is_crash(signal)) {
    print_error(fmt::format("rank {} crashed: signal {}", rank, signal));
    ::_exit(128 + signal);
  }
  if (signal == handed_on) {
    // It was asked to stop, as a launcher asks the others when one has failed, and had no handler
    // yet. The one that failed has said why.
    ::_exit(128 + signal);
  }
  print_error(fmt::format(
      "rank {} was ended by signal {}; --resume goes on from the newest checkpoint", rank, signal));
  ::_exit(exit_code(CALM_DEVICE_LOST));
}

}  // namespace

void go_on_in_child(std::uint32_t rank) {
  sigset_t awaited, before;
  ::sigemptyset(&awaited);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) {
    ::sigaddset(&awaited, signal);
  }
  ::sigprocmask(SIG_BLOCK, &awaited, &before);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child <= 0) {
    if (child == 0) {
      // A group of its own: a signal to the parent's group would reach it twice.
      ::setpgid(0, 0);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) {
        ::_exit(exit_code(CALM_DEVICE_LOST));
      }
    }
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    return;
  }
  int handed_on = 0;
  for (;;) {
    const int signal = ::sigwaitinfo(&awaited, nullptr);
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) == child) {
      end_like(status, rank, handed_on);
    }
    if (signal > 0 && signal != SIGCHLD) {
      handed_on = signal;
      ::kill(child, signal);
    }
  }
}

}  // namespace calm::comm
