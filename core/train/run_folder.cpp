#include "core/train/run_folder.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string_view>

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
  line("resumed from", config.resume);
  return out;
}

nlohmann::json number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

std::optional<double> number_of(const nlohmann::json &row, const char *name) {
  const auto it = row.find(name);
  return it != row.end() && it->is_number() ? std::optional<double>(it->get<double>())
                                            : std::nullopt;
}

}  // namespace

void RunFolder::started(const Start &start) {
  OutputFile file(config_->save_dir + "/config.toml");
  const std::string text = comment(*config_) + config_toml(*config_);
  file.write(text.data(), text.size());
  file.publish();
  path_ = config_->save_dir + "/metrics.jsonl";
  keep_rows(start.first_step);
  metrics_.reset(std::fopen(path_.c_str(), "ae"));
  if (!metrics_) {
    const int number = errno;
    throw Error(number == ENOMEM ? CALM_OUT_OF_MEMORY : CALM_IO,
                path_ + ": cannot write: " + std::strerror(number));
  }
  events_.emplace(config_->save_dir, start.first_step);
}

void RunFolder::validated(const StepMetrics &metrics) {
  append(metrics);
  draw(ending_);
}

void RunFolder::epoch_ended(const Epoch &epoch) {
  // A run shorter than a log interval leaves a trace too.
  if (newest_.step > last_row_) {
    append(newest_);
  }
  draw(ending_ || epoch.epoch == epoch.epochs);
}

void RunFolder::stopping(const std::string &) {
  ending_ = true;
  draw(true);
}

void RunFolder::finish() const {
  if (!failure_.empty()) {
    throw Error(CALM_IO, "training is done, but not every picture of it was written: " + failure_);
  }
}

void RunFolder::draw(bool now) {
  constexpr auto kInterval = std::chrono::seconds(1);
  const auto time = std::chrono::steady_clock::now();
  if (!metrics_ || (!now && time - drawn_ < kInterval)) {
    return;
  }
  drawn_ = time;
  try {
    OutputFile file(config_->save_dir + "/loss.svg");
    const std::string picture = loss_svg(training_, validation_);
    file.write(picture.data(), picture.size());
    file.publish();
  } catch (const Error &e) {
    if (e.status() != CALM_IO) {
      throw;
    }
    if (failure_.empty()) {
      log_warning("{}; training goes on", e.what());
      failure_ = e.what();
    }
  }
}

// A validation's loss stands in every row until the next one; after a resume, that of the
// checkpoint again until then.
void RunFolder::remember(std::uint64_t step, double loss, std::optional<double> val_loss) {
  if (training_.empty() || training_.back().step < step) {
    training_.push_back({step, loss});
  }
  const auto said = [&val_loss](const LossPoint &p) { return p.loss == *val_loss; };
  if (val_loss && std::none_of(validation_.rbegin(), validation_.rend(), said)) {
    validation_.push_back({step, *val_loss});
  }
  last_row_ = step;
}

// Rows of updates that a resumed run does once more, and half rows of a killed one, go.
void RunFolder::keep_rows(std::uint64_t first_step) {
  std::string kept;
  if (first_step > 0 && std::filesystem::exists(path_)) {
    constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;
    const std::string text = read_text(path_, kMostBytes);
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = text.find('\n', begin);
      if (end == std::string::npos) {
        break;
      }
      const std::string_view line = std::string_view(text).substr(begin, end - begin);
      const nlohmann::json row = nlohmann::json::parse(line, nullptr, false);
      if (row.is_object() && row.contains("step") && row["step"].is_number_unsigned() &&
          row["step"].get<std::uint64_t>() <= first_step) {
        kept += line;
        kept += '\n';
        remember(row["step"].get<std::uint64_t>(), number_of(row, "loss").value_or(std::nan("")),
                 number_of(row, "val_loss"));
      }
      begin = end + 1;
    }
  }
  OutputFile file(path_);
  file.write(kept.data(), kept.size());
  file.publish();
}

void RunFolder::append(const StepMetrics &m) {
  if (!metrics_) {
    return;
  }
  auto row = nlohmann::ordered_json::object();
  row["step"] = m.step;
  row["epoch"] = m.epoch;
  row["loss"] = number(m.loss);
  row["val_loss"] = m.val_loss ? number(*m.val_loss) : nlohmann::json(nullptr);
  row["lr"] = number(m.lr);
  row["grad_norm"] = number(m.grad_norm);
  row["tokens_per_s"] = number(std::round(m.tokens_per_s));
  row["seconds"] = number(std::round(m.seconds * 1000) / 1000);
  remember(m.step, m.loss, m.val_loss);
  std::vector<Scalar> scalars = {{"loss/train", m.loss},
                                 {"lr", m.lr},
                                 {"grad_norm", m.grad_norm},
                                 {"tokens_per_s", m.tokens_per_s}};
  if (m.val_loss) {
    scalars.push_back({"loss/validation", *m.val_loss});
  }
  if (config_->ewc) {
    scalars.push_back({"ewc_penalty", m.penalty});
  }
  events_->add(m.step, scalars);
  const std::string line = row.dump() + "\n";
  if (std::fwrite(line.data(), 1, line.size(), metrics_.get()) != line.size() ||
      std::fflush(metrics_.get()) != 0) {
    // A full disk must not end a run that may still publish its weights elsewhere.
    log_warning("{}: cannot write: {}; no more rows are written", path_, std::strerror(errno));
    metrics_.reset();
  }
}

}  // namespace calm::train
