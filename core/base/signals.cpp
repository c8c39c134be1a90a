#include "core/base/signals.hpp"

#include <unistd.h>

namespace calm {
namespace {

// What a handler may touch has to outlive every object, so it cannot be a member.
std::atomic<int> first_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);

constexpr std::array<int, 3> kStopSignals = {SIGINT, SIGTERM, SIGHUP};
constexpr std::array<int, 2> kIgnoredSignals = {SIGPIPE, SIGXFSZ};

void ask_to_stop(int signal) {
  int none = 0;
  if (!first_signal.compare_exchange_strong(none, signal) && signal == SIGINT) {
    ::_exit(128 + signal);
  }
}

}  // namespace

SignalScope::SignalScope() {
  first_signal.store(0);
  std::size_t saved = 0;
  struct sigaction action {};
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  action.sa_handler = ask_to_stop;
  for (const int signal : kStopSignals) {
    struct sigaction &previous = previous_[saved++];
    ::sigaction(signal, nullptr, &previous);
    if (previous.sa_handler != SIG_IGN) {
      ::sigaction(signal, &action, nullptr);
    }
  }
  action.sa_handler = SIG_IGN;
  for (const int signal : kIgnoredSignals) {
    ::sigaction(signal, &action, &previous_[saved++]);
  }
}

SignalScope::~SignalScope() {
  std::size_t saved = 0;
  for (const int signal : kStopSignals) {
    ::sigaction(signal, &previous_[saved++], nullptr);
  }
  for (const int signal : kIgnoredSignals) {
    ::sigaction(signal, &previous_[saved++], nullptr);
  }
}

int SignalScope::received() noexcept { return first_signal.load(std::memory_order_relaxed); }

int SignalScope::exit_code() noexcept { return 128 + received(); }

const std::atomic<int> *SignalScope::flag() noexcept { return &first_signal; }

}  // namespace calm
