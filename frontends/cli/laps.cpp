#include "frontends/cli/laps.hpp"

#include <ctime>

#include "core/base/log.hpp"

namespace calm::cli {

namespace {

double processor_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

Laps::Laps() : before_(processor_seconds()), last_(Clock::now()) {}

void Laps::lap(std::string_view what) {
  const Clock::time_point now = Clock::now();
  laps_.emplace_back(what, std::chrono::duration<double>(now - last_).count());
  last_ = now;
}

void Laps::log() const {
  const auto line = [](std::string_view what, double seconds) {
    log_debug("time {:8.3f} ms  {}", seconds * 1e3, what);
  };
  line("loading the program (processor time)", before_);
  double sum = before_;
  for (const auto &[what, seconds] : laps_) {
    line(what, seconds);
    sum += seconds;
  }
  line("in all", sum);
}

}  // namespace calm::cli
