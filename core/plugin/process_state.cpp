#include "core/plugin/process_state.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <clocale>
#include <cstring>

namespace calm {
namespace {

#if defined(__x86_64__)
constexpr unsigned kControlBits = 0xffc0U;

unsigned short x87_control() noexcept {
  unsigned short control = 0;
  asm volatile("fnstcw %0" : "=m"(control));
  return control;
}
void set_x87_control(unsigned short control) noexcept { asm volatile("fldcw %0" ::"m"(control)); }
#else
unsigned short x87_control() noexcept { return 0; }
void set_x87_control(unsigned short) noexcept {}
#endif

std::string locale_name() {
  const char *name = std::setlocale(LC_ALL, nullptr);
  return name == nullptr ? std::string() : std::string(name);
}

bool same_file(int a, const char *b) {
  struct stat first {};
  struct stat second {};
  return ::fstat(a, &first) == 0 && ::stat(b, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

bool same_action(const struct sigaction &a, const struct sigaction &b) {
  return a.sa_handler == b.sa_handler && a.sa_flags == b.sa_flags;
}

}  // namespace

std::uint64_t float_control() noexcept {
#if defined(__x86_64__)
  return _mm_getcsr() & kControlBits;
#else
  std::uint64_t control = 0;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  return control;
#endif
}

void set_float_control(std::uint64_t control) noexcept {
#if defined(__x86_64__)
  _mm_setcsr((_mm_getcsr() & ~kControlBits) | static_cast<unsigned>(control));
#else
  asm volatile("msr fpcr, %0" ::"r"(control));
#endif
}

ProcessState::ProcessState()
    : float_control_(float_control()),
      x87_control_(x87_control()),
      folder_(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)),
      locale_(locale_name()) {
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask_);
  for (int number = 1; number < kSignals; ++number) {
    ::sigaction(number, nullptr, &actions_[static_cast<std::size_t>(number)]);
  }
}

ProcessState::~ProcessState() {
  if (folder_ >= 0) {
    ::close(folder_);
  }
}

void ProcessState::restore(std::vector<std::string> *changes) {
  if (const std::uint64_t now = float_control();
      now != float_control_ || x87_control() != x87_control_) {
    set_float_control(float_control_);
    set_x87_control(x87_control_);
    changes->push_back(
        fmt::format("it changed the floating-point mode from {:#x} to {:#x} (linked with "
                    "fast-math?); restored",
                    float_control_, now));
  }
  if (folder_ >= 0 && !same_file(folder_, ".")) {
    const bool back = ::fchdir(folder_) == 0;
    changes->push_back(fmt::format("it changed the working directory; {}",
                                   back ? "restored" : "going back failed"));
  }
  if (const std::string now = locale_name(); now != locale_) {
    std::setlocale(LC_ALL, locale_.c_str());
    changes->push_back(fmt::format("it changed the locale from {} to {}; restored", locale_, now));
  }
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, &mask_, &mask);
  bool same_mask = true;
  for (int number = 1; number < kSignals; ++number) {
    same_mask &= ::sigismember(&mask, number) == ::sigismember(&mask_, number);
    const struct sigaction &before = actions_[static_cast<std::size_t>(number)];
    struct sigaction now {};
    if (::sigaction(number, nullptr, &now) == 0 && !same_action(now, before)) {
      ::sigaction(number, &before, nullptr);
      changes->push_back(
          fmt::format("it changed what SIG{} does; restored", ::sigabbrev_np(number)));
    }
  }
  if (!same_mask) {
    changes->push_back("it changed which signals are blocked; restored");
  }
}

}  // namespace calm
