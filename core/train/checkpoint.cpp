#include "core/train/checkpoint.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <tuple>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/file.hpp"
#include "core/base/log.hpp"
#include "core/run/model_folder.hpp"
#include "core/run/weights_document.hpp"

namespace calm::train {

namespace {

namespace fs = std::filesystem;
using run::Manifest;
using run::Weights;

constexpr const char *kMean = "exp_avg/";
constexpr const char *kSquare = "exp_avg_sq/";
constexpr const char *kGradient = "grad/";
constexpr const char *kGradientFile = "gradients.safetensors";
constexpr const char *kBestFile = "best.safetensors";
constexpr std::size_t kStepsKept = 2;

void check_finite(const Weights *weights, const char *what) {
  if (weights != nullptr && !weights->finite()) {
    throw Error(CALM_DIVERGED, fmt::format("training diverged: {} are not finite; no checkpoint of "
                                           "them was written",
                                           what));
  }
}

bool lists(const Manifest &manifest, std::string_view file) {
  return std::any_of(manifest.files.begin(), manifest.files.end(),
                     [&](const Manifest::File &f) { return f.name == file; });
}

std::unique_ptr<Weights> take(const data::Document &document, const graph::ParamLayout &layout,
                              const std::string &path, std::string_view prefix) {
  auto weights = std::make_unique<Weights>(layout);
  run::take_weights(document, *weights, path, prefix);
  return weights;
}

struct Found {
  std::string path;
  Manifest manifest;
};

// How far a run had come.
auto position(const Manifest &m) {
  return std::tuple(m.progress.global_step, m.progress.accumulated, m.progress.current_epoch);
}

// The checkpoints in a folder that say what they are, newest first. Temporaries are none.
std::vector<Found> list_checkpoints(const std::string &folder) {
  std::vector<Found> found;
  for (const std::string &path : list_folder(folder)) {
    std::error_code error;
    if (fs::path(path).filename().string().front() == '.' || !fs::is_directory(path, error)) {
      continue;
    }
    try {
      found.push_back({path, run::read_manifest(path)});
    } catch (const Error &e) {
      log_warning("passed over a checkpoint: {}", e.what());
    }
  }
  std::sort(found.begin(), found.end(), [](const Found &a, const Found &b) {
    return std::tuple(position(a.manifest), a.path) > std::tuple(position(b.manifest), b.path);
  });
  return found;
}

}  // namespace

void write_checkpoint(run::Runtime &runtime, const std::string &path, const Snapshot &snapshot) {
  check_finite(snapshot.weights, "the weights");
  check_finite(snapshot.m, "the moments");
  check_finite(snapshot.v, "the moments");
  Manifest manifest = snapshot.manifest;
  OutputFolder folder(path);
  data::Document weights;
  run::add_folder_weights(weights, *snapshot.weights);
  if (snapshot.ewc != nullptr && *snapshot.ewc) {
    check_finite(snapshot.ewc->fisher.get(), "the numbers of online EWC");
    check_finite(snapshot.ewc->anchor.get(), "the numbers of online EWC");
    run::add_ewc(weights, *snapshot.ewc);
  }
  run::write_hashed(runtime, folder, manifest.weights_file, weights, manifest);
  data::Document moments;
  run::add_weights(moments, *snapshot.m, kMean);
  run::add_weights(moments, *snapshot.v, kSquare);
  run::write_hashed(runtime, folder, manifest.optimizer.filename, moments, manifest);
  if (snapshot.gradients != nullptr) {
    data::Document gradients;
    run::add_weights(gradients, *snapshot.gradients, kGradient);
    run::write_hashed(runtime, folder, kGradientFile, gradients, manifest);
  }
  if (snapshot.best != nullptr) {
    data::Document best;
    run::add_folder_weights(best, *snapshot.best);
    run::write_hashed(runtime, folder, kBestFile, best, manifest);
  }
  if (snapshot.ewc_buffer != nullptr && snapshot.ewc_buffer->size() > 0) {
    data::Document buffer;
    snapshot.ewc_buffer->write(buffer);
    run::write_hashed(runtime, folder, manifest.ewc->buffer_file, buffer, manifest);
  }
  run::write_manifest(folder, manifest);
  folder.publish();
}

Checkpoint read_checkpoint(run::Runtime &runtime, const std::string &folder, bool weights_only) {
  Checkpoint checkpoint;
  checkpoint.path = folder;
  checkpoint.manifest = run::read_manifest(folder);
  const Manifest &manifest = checkpoint.manifest;
  if (!weights_only) {
    if (!manifest.checkpoint) {
      throw Error(CALM_CORRUPT_DATA, folder +
                                         ": expected a checkpoint, found a model without the "
                                         "state of its training; --init-weights-only starts "
                                         "from its weights");
    }
    const std::string &moments = manifest.optimizer.filename;
    if (moments.size() >= 3 && moments.compare(moments.size() - 3, 3, ".pt") == 0) {
      throw Error(CALM_UNSUPPORTED,
                  fmt::format("{}/{}: the optimizer's state is a Python pickle, which is never "
                              "read; --init-weights-only starts from the weights",
                              folder, moments));
    }
  }
  checkpoint.loaded = run::load_model_folder(runtime, folder, manifest);
  if (weights_only) {
    return checkpoint;
  }
  const graph::ParamLayout &layout = checkpoint.loaded.model->layout();
  const auto read = [&](const std::string &name) {
    run::verify_file(manifest, folder, name);
    return data::read_document(runtime, folder + "/" + name);
  };
  const std::string &optimizer = manifest.optimizer.filename;
  const data::Document moments = read(optimizer);
  checkpoint.m = take(moments, layout, folder + "/" + optimizer, kMean);
  checkpoint.v = take(moments, layout, folder + "/" + optimizer, kSquare);
  if (manifest.progress.accumulated > 0) {
    checkpoint.gradients =
        take(read(kGradientFile), layout, folder + "/" + kGradientFile, kGradient);
  }
  if (manifest.ewc && manifest.ewc->buffer_count > 0) {
    const std::string &name = manifest.ewc->buffer_file;
    checkpoint.ewc_buffer.emplace(manifest.ewc->buffer_count);
    checkpoint.ewc_buffer->read(read(name), manifest.ewc->buffer_count, folder + "/" + name);
  }
  if (lists(manifest, kBestFile)) {
    checkpoint.best = take(read(kBestFile), layout, folder + "/" + kBestFile, "model/");
  }
  return checkpoint;
}

std::string find_checkpoint(const std::string &folder) {
  std::error_code error;
  if (fs::exists(folder + "/" + Manifest::kName, error)) {
    return folder;
  }
  if (!fs::is_directory(folder, error)) {
    throw Error(CALM_IO, folder + ": cannot open: " +
                             (error ? error.message() : "expected a folder, found something else"));
  }
  for (const Found &found : list_checkpoints(folder + "/checkpoints")) {
    try {
      run::verify_files(found.manifest, found.path);
      return found.path;
    } catch (const Error &e) {
      log_warning("{} is not whole, taking an earlier checkpoint: {}", found.path, e.what());
    }
  }
  throw Error(CALM_CORRUPT_DATA,
              folder + ": expected a checkpoint or a run's folder with one, found none");
}

std::string run_folder_of(const std::string &checkpoint) {
  const fs::path parent = fs::path(checkpoint).lexically_normal().parent_path();
  if (parent.filename() != "checkpoints") {
    return {};
  }
  return parent.has_parent_path() ? parent.parent_path().string() : ".";
}

CheckpointStore::CheckpointStore(std::string save_dir)
    : save_dir_((make_folders(save_dir), std::move(save_dir))), lock_(save_dir_) {
  sweep_temporaries(save_dir_);
  sweep_temporaries(folder());
}

void CheckpointStore::set_aside(const Manifest *start) {
  std::vector<std::string> others;
  for (const Found &found : list_checkpoints(folder())) {
    if (start == nullptr || position(found.manifest) > position(*start)) {
      others.push_back(found.path);
    }
  }
  if (others.empty()) {
    return;
  }
  std::string aside;
  std::error_code error;
  for (int i = 1; aside.empty() || fs::exists(aside, error); ++i) {
    aside = fmt::format("{}-{}", folder(), i);
  }
  make_folders(aside);
  for (const std::string &path : others) {
    move_entry(path, aside + "/" + fs::path(path).filename().string());
  }
  log_warning("moved {} checkpoints of an earlier run to {}", others.size(), aside);
}

std::string CheckpointStore::save_epoch(run::Runtime &runtime, const Snapshot &snapshot,
                                        std::uint64_t epoch) {
  std::string path = fmt::format("{}/epoch{:04}", folder(), epoch);
  write_checkpoint(runtime, path, snapshot);
  return path;
}

std::string CheckpointStore::save_step(run::Runtime &runtime, const Snapshot &snapshot) {
  std::string path = fmt::format("{}/step{:07}", folder(), snapshot.manifest.progress.global_step);
  write_checkpoint(runtime, path, snapshot);
  keep_newest_steps();
  return path;
}

void CheckpointStore::keep_newest_steps() const {
  std::vector<std::string> steps;
  for (const std::string &path : list_folder(folder())) {
    if (fs::path(path).filename().string().compare(0, 4, "step") == 0) {
      steps.push_back(path);
    }
  }
  // By number: names grow longer past the digits they are padded to.
  std::sort(steps.begin(), steps.end(), [](const std::string &a, const std::string &b) {
    return std::tuple(a.size(), a) > std::tuple(b.size(), b);
  });
  for (std::size_t i = kStepsKept; i < steps.size(); ++i) {
    // Under a name of our own first: half a folder must not look like a checkpoint.
    const std::string doomed = temporary_name(folder());
    std::error_code error;
    fs::rename(steps[i], doomed, error);
    if (!error) {
      fs::remove_all(doomed, error);
    }
    if (error) {
      log_warning("{}: cannot remove: {}", steps[i], error.message());
    }
  }
}

}  // namespace calm::train
