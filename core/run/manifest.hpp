#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <calm/cpp/value.hpp>

#include "core/run/model_file.hpp"

namespace calm::run {

/// Online EWC in a manifest; its numbers stand in `continual` and in the weights' file.
struct ManifestEwc {
  bool initialized = false;  ///< false before the first consolidation
  std::string buffer_file = "ewc_buffer.safetensors";
  std::uint64_t buffer_count = 0;
};

/// metadata.json of a checkpoint or model folder (spec M.5): what its safetensors files are, and
/// where training stands. Keys that only we write are absent in a peer's file.
struct Manifest {
  static constexpr std::int64_t kFormatVersion = 4;
  static constexpr const char *kName = "metadata.json";

  bool checkpoint = true;  ///< false: weights only (type "model")
  std::string backbone = "mamba";
  std::string objective = "next_token";
  std::vector<OwnedValue> model;      ///< config.model as it stands in the file
  std::vector<OwnedValue> training;   ///< config.training, likewise
  std::vector<OwnedValue> continual;  ///< config.continual, likewise; empty without online EWC
  std::optional<std::uint64_t> seed;
  ModelMetadata metadata;  ///< template and so on; empty in a peer's file

  struct File {
    std::string name;
    std::uint64_t bytes = 0;
    std::string sha256;
  };
  std::vector<File> files;  ///< what must be there, whole; empty in a peer's file
  std::string weights_file = "weights.safetensors";

  /// Counters at the end of an epoch or inside one; spec I.11.
  struct Progress {
    std::int64_t current_epoch = -1;  ///< 0-based, the epoch last finished
    std::uint64_t global_step = 0;    ///< updates done
    std::int64_t patience_counter = 0;
    std::optional<double> best_train_loss, best_val_loss;  ///< absent: none yet
    // Inside the epoch after current_epoch.
    std::uint64_t position = 0;      ///< samples of its permutation already used
    std::int64_t accumulated = 0;    ///< micro-batches since the last update
    double loss_sum = 0;             ///< of the micro-batches' mean losses
    std::uint64_t loss_count = 0;    ///< micro-batches
    std::int64_t refused = 0;        ///< updates refused in a row (program rule 9)
    std::optional<double> exported;  ///< validation loss of the weights kept for export
    std::optional<double> val_loss;  ///< newest validation
    std::optional<std::uint64_t> validated_step;
    std::string dataset, val_dataset;  ///< SHA-256 of the sequences; empty: unknown
  };
  Progress progress;

  struct Optimizer {
    std::string filename = "optimizer.safetensors";
    std::uint64_t step = 0;  ///< updates counted by the bias corrections
    struct Group {
      double weight_decay = 0, lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
      std::vector<std::string> params;
    };
    std::vector<Group> groups;
  };
  Optimizer optimizer;

  std::optional<ManifestEwc> ewc;
};

/// Sorted keys, two blanks of indent, final LF.
std::string manifest_text(const Manifest &manifest);

/// Accepts any JSON layout, `Infinity` and `NaN` (as a peer writes them). CALM_CORRUPT_DATA or
/// CALM_VERSION "KEY: expected X, found Y" without the path. Names of files in it are plain names.
Manifest parse_manifest(std::string_view text);

/// Reads `folder`/metadata.json; errors name it.
Manifest read_manifest(const std::string &folder);

/// Checks size and sum of one file; nothing when the manifest does not list it (a peer's lists
/// none). CALM_CORRUPT_DATA, CALM_IO naming the file.
void verify_file(const Manifest &manifest, const std::string &folder, std::string_view name);

/// The same for every file the manifest lists.
void verify_files(const Manifest &manifest, const std::string &folder);

}  // namespace calm::run
