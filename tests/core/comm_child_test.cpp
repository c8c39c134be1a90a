// A process that goes on in a child of its own (core/comm/child.hpp).
#include "core/comm/child.hpp"

#include <gtest/gtest.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX, not <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>

namespace calm::comm {
namespace {

struct End {
  int code = -1;  // -1: by a signal
  std::string said;
};

/// How a process ends that goes on in a child, which does `body`; when it says "!", `meanwhile`
/// gets the process.
End end_of(const std::function<void()> &body, const std::function<void(pid_t)> &meanwhile) {
  std::array<int, 2> errors{};
  EXPECT_EQ(::pipe(errors.data()), 0);
  const pid_t process = ::fork();
  if (process == 0) {
    ::dup2(errors[1], STDERR_FILENO);
    ::close(errors[0]);
    go_on_in_child(7);
    body();
    ::_exit(5);
  }
  ::close(errors[1]);
  End end;
  char c = 0;
  while (::read(errors[0], &c, 1) == 1) {
    end.said += c;
    if (c == '!') {
      meanwhile(process);
    }
  }
  ::close(errors[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(process, &status, 0), process);
  end.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return end;
}

const auto kNothing = [](pid_t) {};
void wait_for_ever() {
  static_cast<void>(!::write(STDERR_FILENO, "!", 1));
  for (;;) {
    ::pause();
  }
}

TEST(Child, EndsAsItsChildDoes) {
  const End end = end_of([] {}, kNothing);
  EXPECT_EQ(end.code, 5);
  EXPECT_EQ(end.said, "");
}

TEST(Child, SaysWhoWasKilled) {
  const End end = end_of([] { ::kill(::getpid(), SIGKILL); }, kNothing);
  EXPECT_EQ(end.code, 75);
  EXPECT_EQ(end.said,
            "calm: rank 7 was ended by signal 9; --resume goes on from the newest checkpoint\n");
}

TEST(Child, SaysWhoCrashed) {
  const End end = end_of([] { ::kill(::getpid(), SIGILL); }, kNothing);
  EXPECT_EQ(end.code, 128 + SIGILL);
  EXPECT_EQ(end.said, "calm: rank 7 crashed: signal 4\n");
}

// As a launcher stops the others when one has failed.
TEST(Child, HandsOnASignalAndSaysNothing) {
  const End end = end_of(wait_for_ever, [](pid_t process) { ::kill(process, SIGTERM); });
  EXPECT_EQ(end.code, 128 + SIGTERM);
  EXPECT_EQ(end.said, "!");
}

TEST(Child, MayAnswerASignal) {
  const End end = end_of(
      [] {
        ::signal(SIGTERM, [](int) { ::_exit(9); });
        wait_for_ever();
      },
      [](pid_t process) { ::kill(process, SIGTERM); });
  EXPECT_EQ(end.code, 9);
  EXPECT_EQ(end.said, "!");
}

}  // namespace
}  // namespace calm::comm
