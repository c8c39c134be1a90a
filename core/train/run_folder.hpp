#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "core/train/train.hpp"

namespace calm::train {

/// Writes into the save directory what a run is known by: config.toml (resolved) once it starts,
/// and metrics.jsonl, a row a log interval and a validation; a resumed run keeps the rows up to its
/// checkpoint. Error(CALM_IO) when that fails.
class RunFolder : public TrainObserver {
 public:
  /// `config` must outlive the observer.
  explicit RunFolder(const TrainConfig &config) : config_(&config) {}

  void started(const Start &start) override;
  void logged(const StepMetrics &metrics) override { append(metrics); }
  void validated(const StepMetrics &metrics) override { append(metrics); }

 private:
  struct Close {
    void operator()(std::FILE *file) const { std::fclose(file); }
  };
  void append(const StepMetrics &metrics);
  void keep_rows(std::uint64_t first_step) const;

  const TrainConfig *config_;
  std::string path_;
  std::unique_ptr<std::FILE, Close> metrics_;
};

}  // namespace calm::train
