#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/comm/ranks.hpp"
#include "core/data/batch.hpp"
#include "core/train/bookkeeping.hpp"
#include "core/train/checkpoint.hpp"
#include "core/train/samples.hpp"
#include "core/train/stages.hpp"
#include "core/train/train.hpp"

namespace calm::train {

// The loop's state; one object per run. Whatever the rest of the run depends on is in `at_` or in
// the buffers of the stages: both go into a checkpoint whole. With several ranks each has the whole
// of it, and the same: what they decide follows from it, or from what they agreed on.
class Run {
 public:
  // Reads and checks, on each rank by itself.
  Run(run::Runtime &runtime, run::Session &session, const TrainConfig &config,
      TrainObserver &observer);
  TrainResult run();

 private:
  using Clock = std::chrono::steady_clock;
  // run.cpp: from the start to the files.
  void resume(Checkpoint &checkpoint);
  void begin();
  void check_data(const run::Manifest::Progress &before) const;
  void save(bool epoch_improved, bool must);
  run::Manifest manifest() const;
  TrainResult publish();

  // loop.cpp: epochs of micro-batches.
  bool finished();
  void epoch();
  void end_epoch(Clock::time_point start);
  void stop(const std::string &reason);
  void prepare(std::span<const std::uint32_t> order);
  void micro_batch(const data::Batch &batch, bool last);
  bool metrics_due() const;
  void read_metrics(bool last_of_epoch);
  double validate();
  void validate_and_keep_best();
  void validate_if_due();

  // run_ewc.cpp: what online EWC adds.
  void start_ewc();
  void remember(std::span<const std::uint32_t> samples);
  void consolidate(const std::vector<const data::Dataset *> &batches, double decay);
  run::EwcWeights ewc_weights() const;
  run::EwcWeights ewc_for_export(const run::Weights &weights);

  // run_ranks.cpp: what several ranks add.
  data::Share share() const { return {ranks_.rank(), ranks_.count()}; }
  void start_alike();
  void look_for_stop();

  std::string limit_reached() const;
  double learning_rate() const;
  StepMetrics snapshot() const;
  double seconds() const;  // since training began

  run::Runtime &runtime_;
  run::Session &session_;
  const TrainConfig &config_;
  comm::Ranks ranks_;
  TrainObserver silent_;  // of ranks that are not the first
  TrainObserver &observer_;
  std::unique_ptr<CheckpointStore> store_;  // of the first rank
  std::optional<Checkpoint> checkpoint_;    // resumed from; its weights go once they are uploaded
  run::LoadedModel loaded_;
  const calm_trainer &trainer_;
  std::vector<calm_value> options_;
  std::int64_t batch_size_, accumulation_, log_interval_;
  Samples train_, val_;
  graph::OptimizerOptions optimizer_;
  std::unique_ptr<Stages> stages_;
  std::unique_ptr<run::Weights> best_;
  run::Manifest::Progress at_;
  Bookkeeping books_;
  EwcBuffer ewc_buffer_{0};
  bool consolidated_ = false;   // there is Fisher information
  bool ended_ = false;          // before its epochs were done
  int signal_ = 0;              // that asked to stop, of any rank
  bool late_ = false;           // the time is over
  std::int64_t next_look_ = 1;  // micro-batches until the ranks agree on these two
  std::int64_t since_look_ = 0;
  Clock::time_point looked_ = Clock::now();

  Clock::time_point start_ = Clock::now();
  Clock::time_point mark_ = start_;  // of the speed measurement
  std::uint64_t rows_since_mark_ = 0;
  std::uint64_t first_step_ = 0;  // updates done when this process began
  std::uint64_t scheduled_ = 0, total_ = 0;
  double lr_ = 0;  // of the last update

  struct Pending {
    double inv_count;
    bool update;
    std::uint64_t step;
    double lr;
  };
  std::vector<Pending> pending_;  // micro-batches whose metrics are still on the device
  StepMetrics metrics_;
  std::string newest_;        // checkpoint
  std::string save_failure_;  // of the last checkpoint that could not be written
};

}  // namespace calm::train
