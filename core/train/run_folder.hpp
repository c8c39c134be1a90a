#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/train/loss_plot.hpp"
#include "core/train/tensorboard.hpp"
#include "core/train/train.hpp"

namespace calm::train {

/// Writes into the save directory what a run is known by: config.toml (resolved) once it starts;
/// metrics.jsonl, a row a log interval, a validation and an epoch; the same numbers as TensorBoard
/// events; and loss.svg, drawn anew at validations and ends of epochs, at most once a second, and
/// at the end. A resumed run keeps the rows up to its checkpoint and starts an event file of its
/// own. Error(CALM_IO) when config.toml or the rows cannot be begun; later failures never end a
/// run.
class RunFolder : public TrainObserver {
 public:
  /// `config` must outlive the observer.
  explicit RunFolder(const TrainConfig &config) : config_(&config) {}

  void started(const Start &start) override;
  void stepped(const StepMetrics &metrics) override { newest_ = metrics; }
  void logged(const StepMetrics &metrics) override { append(metrics); }
  void validated(const StepMetrics &metrics) override;
  void epoch_ended(const Epoch &epoch) override;
  void stopping(const std::string &why) override;

  /// After the run: Error(CALM_IO) when the picture could not be written at some time.
  void finish() const;

 private:
  struct Close {
    void operator()(std::FILE *file) const { std::fclose(file); }
  };
  void append(const StepMetrics &metrics);
  void keep_rows(std::uint64_t first_step);
  void remember(std::uint64_t step, double loss, std::optional<double> val_loss);
  void draw(bool now);

  const TrainConfig *config_;
  std::string path_;
  std::unique_ptr<std::FILE, Close> metrics_;
  std::optional<EventFile> events_;
  StepMetrics newest_;
  std::uint64_t last_row_ = 0;  // step of it
  std::vector<LossPoint> training_, validation_;
  std::chrono::steady_clock::time_point drawn_{};
  bool ending_ = false;
  std::string failure_;  // of the first picture that could not be written
};

}  // namespace calm::train
