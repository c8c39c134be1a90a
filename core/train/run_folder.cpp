#include "core/train/run_folder.hpp"

#include <cerrno>
#include <cmath>
#include <cstring>

#include <nlohmann/json.hpp>

#include <calm/cpp/error.hpp>

#include "core/base/file.hpp"
#include "core/base/log.hpp"
#include "core/text/printable.hpp"
#include "core/train/config.hpp"

namespace calm::train {

namespace {

// Paths are no part of a configuration, but whoever reads it later wants to know them.
std::string comment(const TrainConfig &config) {
  std::string out;
  const auto line = [&out](const char *name, const std::string &path) {
    if (!path.empty()) {
      out +=
          std::string("# ") + name + ": " + text::printable(path, text::LineFeeds::kEscape) + "\n";
    }
  };
  line("dataset", config.dataset);
  line("validation", config.val_dataset);
  line("initial weights", config.init_cwgt);
  return out;
}

nlohmann::json number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

}  // namespace

void RunFolder::started(const Start &) {
  OutputFile file(config_->save_dir + "/config.toml");
  const std::string text = comment(*config_) + config_toml(*config_);
  file.write(text.data(), text.size());
  file.publish();
  path_ = config_->save_dir + "/metrics.jsonl";
  metrics_.reset(std::fopen(path_.c_str(), "we"));
  if (!metrics_) {
    throw Error(CALM_IO, path_ + ": cannot write: " + std::strerror(errno));
  }
}

void RunFolder::append(const StepMetrics &m) {
  if (!metrics_) {
    return;
  }
  nlohmann::ordered_json row;
  row["step"] = m.step;
  row["epoch"] = m.epoch;
  row["loss"] = number(m.loss);
  row["val_loss"] = m.val_loss ? number(*m.val_loss) : nlohmann::json(nullptr);
  row["lr"] = number(m.lr);
  row["grad_norm"] = number(m.grad_norm);
  row["tokens_per_s"] = number(std::round(m.tokens_per_s));
  row["seconds"] = number(std::round(m.seconds * 1000) / 1000);
  const std::string line = row.dump() + "\n";
  if (std::fwrite(line.data(), 1, line.size(), metrics_.get()) != line.size() ||
      std::fflush(metrics_.get()) != 0) {
    // A full disk must not end a run that may still publish its weights elsewhere.
    log_warning("{}: cannot write: {}; no more rows are written", path_, std::strerror(errno));
    metrics_.reset();
  }
}

}  // namespace calm::train
