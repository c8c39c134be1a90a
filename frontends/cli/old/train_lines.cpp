#include "frontends/cli/old/train_lines.hpp"

#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "frontends/cli/old/python_text.hpp"
#include "frontends/cli/progress.hpp"

namespace calm::cli {

TrainLines::TrainLines(Output &out, const train::TrainConfig &config, std::string device,
                       bool pairs)
    : out_(out), config_(config), device_(std::move(device)), pairs_(pairs) {}

void TrainLines::print(const std::string &line) {
  if (failure_) {
    return;
  }
  try {
    out_.untrusted(line);
    out_.line("");
    out_.flush();  // a log that is followed
  } catch (...) {
    failure_ = std::current_exception();
  }
}

void TrainLines::started(const Start &start) {
  print(fmt::format("Model: {} params", format_thousands(start.params)));
  print(fmt::format("{}: {} {}, {} epochs, batch={}", pairs_ ? "Contrastive training" : "Training",
                    start.sequences, pairs_ ? "pairs" : "sequences", start.epochs, start.batch));
  if (!config_.val_dataset.empty()) {
    print(fmt::format("Validation: {} sequences", start.val_sequences));
  }
  if (pairs_) {
    print(fmt::format("Temperature: {}, pool: {}",
                      python_float(config_.training.real("temperature")),
                      config_.training.at("pool_mode").text));
  }
  print("Device: " + device_);
  print(fmt::format("LR: {} (warmup={}, total_steps={})", python_float(start.lr), start.warmup,
                    start.total_steps));
}

void TrainLines::logged(const train::StepMetrics &m) {
  print(fmt::format("  step={} loss={} lr={:.2e}", m.step, python_fixed(m.mean_loss, 4), m.lr));
}

void TrainLines::epoch_ended(const Epoch &e) {
  std::string line = fmt::format("Epoch {}/{}: {}={}", e.epoch, e.epochs, pairs_ ? "loss" : "train",
                                 python_fixed(e.train_loss, 4));
  if (e.val_loss) {
    line += " val=" + python_fixed(*e.val_loss, 4);
  }
  print(line + fmt::format(" ({:.1f}s)", e.seconds));
}

void TrainLines::stopping(const std::string &why) {
  if (why == train::kEarlyStopping) {
    print("Early stopping.");
  }
}

void TrainLines::finish(const train::TrainResult &result) {
  print("Exported CWGT: " + result.model_path);
  if (failure_) {
    std::rethrow_exception(failure_);
  }
}

}  // namespace calm::cli
