#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/run/model_file.hpp"
#include "core/run/runtime.hpp"
#include "core/run/values.hpp"
#include "core/train/ewc_options.hpp"

namespace calm::train {

enum class Export { kBest, kLast };

/// Everything a training run depends on, fully resolved (cli.md, "Train").
struct TrainConfig {
  std::string backbone = "mamba";
  std::string objective = "next_token";
  run::Values model;     ///< of the backbone's schema
  run::Values training;  ///< of the trainer's schema
  std::uint64_t seed = 0;

  std::string dataset;                   ///< CTDS, or a file of pairs
  bool pairs = false;                    ///< which of the two, as the objective says
  std::string val_dataset;               ///< CTDS, or empty
  std::string save_dir = "./runs/calm";  ///< receives model.cwgt
  std::string init_cwgt;                 ///< start from these weights; the file's shape wins
  std::string resume;                    ///< go on from this checkpoint; its shape wins
  bool weights_only = false;             ///< take nothing but the weights of `resume`
  bool force = false;                    ///< go on although data or settings are others
  run::ModelMetadata metadata;
  std::optional<EwcOptions> ewc;
  bool export_ewc = false;  ///< model.cwgt carries Fisher information and anchor

  std::optional<std::uint64_t> max_steps;  ///< updates
  std::optional<double> max_seconds;
  std::uint64_t val_every = 0;            ///< updates between validations; 0: at epoch ends only
  std::uint64_t save_every = 0;           ///< updates between checkpoints; 0: at epoch ends only
  Export export_weights = Export::kBest;  ///< best needs a validation set, else last
  std::string precision =
      "fp32";  ///< of the operands of products: the backend's option of that name
};

/// One row of metrics: what the progress bar shows and metrics.jsonl holds.
struct StepMetrics {
  std::uint64_t step = 0;   ///< updates done
  std::uint32_t epoch = 0;  ///< 1-based
  double loss = 0;          ///< of the last micro-batch: mean CE, nats a token (or a pair)
  double mean_loss = 0;     ///< running mean of the epoch (spec I.9)
  double lr = 0;
  double grad_norm = 0;
  double penalty = 0;       ///< of online EWC, nats; no part of the losses
  double tokens_per_s = 0;  ///< live (unpadded) input rows a second, smoothed
  double seconds = 0;       ///< since the start
  double remaining_seconds = 0;
  std::uint64_t total_steps = 0;
  std::optional<double> val_loss;  ///< the newest validation
};

/// What stopping() says when patience is at its end (spec I.11).
inline constexpr const char *kEarlyStopping = "early stopping: the losses no longer improve";

/// Listens to a run. Every call comes from the training thread.
class TrainObserver {
 public:
  virtual ~TrainObserver() = default;
  struct Start {
    std::uint64_t params, sequences, val_sequences, batch, epochs, total_steps;
    std::uint64_t dropped, val_dropped;
    std::string backend;
    double lr;
    std::int64_t warmup;
    std::uint64_t first_step;  ///< updates done before; 0 unless the run was resumed
  };
  virtual void started(const Start &) {}
  virtual void stepped(const StepMetrics &) {}    ///< after every update
  virtual void logged(const StepMetrics &) {}     ///< every log_interval_steps (spec I.9)
  virtual void validated(const StepMetrics &) {}  ///< val_loss is new
  struct Epoch {
    std::uint32_t epoch, epochs;
    double train_loss;
    std::optional<double> val_loss;
    double seconds;
  };
  virtual void epoch_ended(const Epoch &) {}
  virtual void saved(const std::string &) {}     ///< path of a new checkpoint
  virtual void stopping(const std::string &) {}  ///< why the run ends early
};

struct TrainResult {
  std::string model_path;
  std::uint64_t steps = 0;
  double train_loss = 0;
  std::optional<double> best_val_loss;
  bool cancelled = false;  ///< a signal asked to stop; the weights so far were exported
  int signal = 0;          ///< that one, of whichever rank got it first
  std::string checkpoint;  ///< the newest one written; empty when none was
};

/// Runs spec I.1–I.12: epochs of shuffled packed batches, validation, patience, checkpoints,
/// export. A run that diverges (three refused updates in a row, program rule 9) is CALM_DIVERGED
/// and publishes nothing; no usable sequence is CALM_CORRUPT_DATA naming the dataset. The save
/// directory must be writable and nobody else's: found out before the first step. A resumed run
/// gives the bits of one that was never interrupted (spec I.14). A checkpoint that cannot be
/// written is a warning while the run can go on, and CALM_IO at its end.
///
/// Where the runtime has a communicator, all its ranks call this with the same arguments. They
/// share every batch and give the result of a process alone, but for the rounding of sums. Only the
/// first writes files and is told anything; observers of the others hear nothing. An objective over
/// pairs is CALM_INVALID_ARGUMENT; a rank that is gone is CALM_DEVICE_LOST on those that are left.
/// Where the first cannot go on, the others end with comm::PeerFailed.
TrainResult train(run::Runtime &runtime, run::Session &session, const TrainConfig &config,
                  TrainObserver &observer);

}  // namespace calm::train
