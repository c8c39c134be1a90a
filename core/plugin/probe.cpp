#include "core/plugin/probe.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX, not <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include <calm/cpp/error.hpp>

#include "core/plugin/loader.hpp"

namespace calm {
namespace {

constexpr int kLoaded = 40;  // an exit code no plugin would choose by chance

[[noreturn]] void run_child(const std::string &path, const PluginNote &note) {
  // What the plugin prints belongs to no listing.
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(nowhere, STDOUT_FILENO);
  ::dup2(nowhere, STDERR_FILENO);
  try {
    std::vector<std::string> warnings;
    load_plugin(path, note, &warnings);
  } catch (...) {
    ::_exit(kLoaded);  // a reason, which the parent will be given as well
  }
  ::_exit(kLoaded);
}

// The child holds the other end of the pipe for as long as it lives.
bool ended_within(int pipe, std::chrono::milliseconds patience) {
  pollfd wait{pipe, POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&wait, 1, static_cast<int>(patience.count()));
  } while (ready < 0 && errno == EINTR);
  return ready != 0;
}

}  // namespace

std::string probe_plugin(const std::string &path, const PluginNote &note,
                         std::chrono::milliseconds patience) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return {};  // nothing is known: loading it will tell
  }
  std::fflush(nullptr);  // or the child would print it again
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    run_child(path, note);
  }
  ::close(ends[1]);
  if (child < 0) {
    ::close(ends[0]);
    return {};
  }
  const bool ended = ended_within(ends[0], patience);
  ::close(ends[0]);
  if (!ended) {
    ::kill(child, SIGKILL);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!ended) {
    return fmt::format("loading it did not end within {} seconds",
                       std::chrono::duration_cast<std::chrono::seconds>(patience).count());
  }
  if (WIFSIGNALED(status)) {
    const char *name = ::sigabbrev_np(WTERMSIG(status));
    return fmt::format("loading it ends the process with SIG{}", name == nullptr ? "?" : name);
  }
  return WEXITSTATUS(status) == kLoaded ? std::string() : "loading it ends the process";
}

}  // namespace calm
