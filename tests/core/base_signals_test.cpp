#include "core/base/signals.hpp"

#include <gtest/gtest.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX, not <csignal>
#include <unistd.h>

namespace {

using calm::SignalScope;

TEST(Signals, TheFirstOneAsksToStopAndIsRemembered) {
  const SignalScope scope;
  EXPECT_EQ(SignalScope::received(), 0);
  ::raise(SIGTERM);
  ::raise(SIGHUP);
  EXPECT_EQ(SignalScope::received(), SIGTERM);
  EXPECT_EQ(SignalScope::flag()->load(), SIGTERM);
  EXPECT_EQ(SignalScope::exit_code(), 143);
}

TEST(Signals, ASecondInterruptEndsTheProcessAtOnce) {
  EXPECT_EXIT(
      {
        const SignalScope scope;
        ::raise(SIGINT);
        ::raise(SIGINT);
        ::_exit(1);
      },
      testing::ExitedWithCode(130), "");
}

TEST(Signals, AClosedPipeIsAWriteError) {
  const SignalScope scope;
  int ends[2] = {};
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  EXPECT_EQ(::write(ends[1], "x", 1), -1);
  ::close(ends[1]);
}

TEST(Signals, WhatWasIgnoredStaysIgnored) {
  struct sigaction before {};
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ASSERT_EQ(::sigaction(SIGHUP, &ignore, &before), 0);
  {
    const SignalScope scope;
    ::raise(SIGHUP);
    EXPECT_EQ(SignalScope::received(), 0);
  }
  ::sigaction(SIGHUP, &before, nullptr);
}

TEST(Signals, TheEarlierHandlersComeBack) {
  struct sigaction before {};
  struct sigaction after {};
  ::sigaction(SIGTERM, nullptr, &before);
  { const SignalScope scope; }
  ::sigaction(SIGTERM, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

}  // namespace
