#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "core/train/train.hpp"
#include "frontends/cli/context.hpp"

namespace calm::cli {

/// "4.5s", "45s", "3m20s", "2h05m".
std::string format_duration(double seconds);
/// "950", "12.3k", "4.56M".
std::string format_count(double count);
/// "1,234,567".
std::string format_thousands(std::uint64_t count);
/// "1.5 MiB".
std::string format_bytes(std::uint64_t bytes);

/// One line of a running training, at most `width` columns.
std::string progress_line(const train::StepMetrics &metrics, std::optional<double> max_seconds,
                          std::uint32_t epochs, std::size_t width);

/// Shows a training on stderr: a line that is redrawn when that is a terminal, else a line a log
/// interval, a validation and an epoch.
class TrainProgress : public train::TrainObserver {
 public:
  /// Both must outlive the observer.
  TrainProgress(const Context &context, const train::TrainConfig &config);
  ~TrainProgress() override;
  TrainProgress(const TrainProgress &) = delete;
  TrainProgress &operator=(const TrainProgress &) = delete;

  void started(const Start &start) override;
  void stepped(const train::StepMetrics &metrics) override;
  void logged(const train::StepMetrics &metrics) override;
  void validated(const train::StepMetrics &metrics) override;
  void epoch_ended(const Epoch &epoch) override;
  void saved(const std::string &path) override;
  void stopping(const std::string &why) override;

 private:
  void print(const std::string &line);  // a lasting line, above the bar
  void erase();

  const Context &context_;
  const train::TrainConfig &config_;
  bool live_;  // stderr is a terminal
  bool colored_;
  bool drawn_ = false;
  std::uint32_t epochs_ = 0;
  std::chrono::steady_clock::time_point redraw_{};
};

}  // namespace calm::cli
