#pragma once

#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

namespace calm::cli {

/// Where the time of a short program goes: for `calm -v complete`.
class Laps {
 public:
  Laps();
  /// What was done since the last lap. Views static text.
  void lap(std::string_view what);
  /// One line each at the level of debugging.
  void log() const;

 private:
  using Clock = std::chrono::steady_clock;
  double before_;  // seconds of processor time until this object was made
  Clock::time_point last_;
  std::vector<std::pair<std::string_view, double>> laps_;
};

}  // namespace calm::cli
