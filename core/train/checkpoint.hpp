#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/folder.hpp"
#include "core/run/manifest.hpp"
#include "core/run/model_file.hpp"
#include "core/run/runtime.hpp"
#include "core/train/ewc_buffer.hpp"

namespace calm::train {

/// All that the rest of a run depends on: what a checkpoint holds (spec M).
struct Snapshot {
  run::Manifest manifest;  ///< without its list of files
  const run::Weights *weights = nullptr;
  const run::Weights *m = nullptr, *v = nullptr;  ///< moments of AdamW
  const run::Weights *gradients = nullptr;        ///< between updates only
  const run::Weights *best = nullptr;             ///< weights kept for export, where there are some
  const run::EwcWeights *ewc = nullptr;           ///< once something was consolidated
  const EwcBuffer *ewc_buffer = nullptr;          ///< with online EWC
};

/// A checkpoint that was read; everything but `loaded`, which has the EWC weights too, is absent
/// after a weights-only read.
struct Checkpoint {
  std::string path;
  run::Manifest manifest;
  run::LoadedModel loaded;
  std::unique_ptr<run::Weights> m, v, gradients, best;
  std::optional<EwcBuffer> ewc_buffer;
};

/// Writes the folder `path`: whole or not at all. CALM_DIVERGED when a number is not finite,
/// CALM_IO.
void write_checkpoint(run::Runtime &runtime, const std::string &path, const Snapshot &snapshot);

/// Reads a checkpoint, ours or a peer's (M.7: whose moments are a pickle, which is never read:
/// CALM_UNSUPPORTED unless `weights_only`). CALM_CORRUPT_DATA, CALM_IO naming the file.
Checkpoint read_checkpoint(run::Runtime &runtime, const std::string &folder, bool weights_only);

/// The checkpoint that `--resume folder` means: `folder` itself, or the newest whole one of a run's
/// folder; those that are not whole are passed over with a warning. CALM_CORRUPT_DATA naming the
/// folder when there is none.
std::string find_checkpoint(const std::string &folder);

/// The run's folder that a checkpoint lies in, for a run that goes on where it stood; empty when it
/// lies elsewhere.
std::string run_folder_of(const std::string &checkpoint);

/// The folder `checkpoints` of a run: one run at a time, no leftovers of killed ones.
class CheckpointStore {
 public:
  /// Creates and locks `save_dir` and sweeps it.
  explicit CheckpointStore(std::string save_dir);

  /// Moves the checkpoints of another future (all that are newer than `start`, or all of them when
  /// it is null) to checkpoints-1, -2 …: the newest must be of this run, and nothing is lost.
  void set_aside(const run::Manifest *start);

  /// checkpoints/epochNNNN, 1-based (spec I.11). Returns the path.
  std::string save_epoch(run::Runtime &runtime, const Snapshot &snapshot, std::uint64_t epoch);
  /// checkpoints/stepNNNNNNN; of these the newest two are kept.
  std::string save_step(run::Runtime &runtime, const Snapshot &snapshot);

 private:
  std::string folder() const { return save_dir_ + "/checkpoints"; }
  void keep_newest_steps() const;

  std::string save_dir_;
  FolderLock lock_;
};

}  // namespace calm::train
