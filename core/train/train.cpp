#include "core/train/train.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <numeric>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/file.hpp"
#include "core/base/log.hpp"
#include "core/data/batch.hpp"
#include "core/train/bookkeeping.hpp"
#include "core/train/stages.hpp"

namespace calm::train {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Updates between two looks at the metrics; results do not depend on it (program rule 9).
constexpr std::int64_t kMetricsEvery = 8;

struct Samples {
  data::Dataset dataset;
  std::vector<std::uint32_t> usable;
};

Samples load(run::Runtime &runtime, const std::string &path, std::int64_t l_max, bool needed) {
  Samples samples{data::read_dataset(runtime, path), {}};
  samples.usable = data::usable_sequences(samples.dataset, l_max);
  if (needed && samples.usable.empty()) {
    throw Error(CALM_CORRUPT_DATA,
                fmt::format("{}: expected at least one sequence of 4 to {} tokens, found none "
                            "among {}",
                            path, l_max, samples.dataset.size()));
  }
  return samples;
}

// The loop's state; one object per run.
class Run {
 public:
  Run(run::Runtime &runtime, run::Session &session, const TrainConfig &config,
      TrainObserver &observer);
  TrainResult run();

 private:
  bool epoch();  // false: the run ends
  void read_metrics(bool last_of_epoch);
  double validate();
  void validate_and_keep_best();
  std::string limit_reached() const;
  double learning_rate() const;
  StepMetrics snapshot() const;

  run::Runtime &runtime_;
  run::Session &session_;
  const TrainConfig &config_;
  TrainObserver &observer_;
  run::LoadedModel loaded_;
  const calm_trainer &trainer_;
  std::vector<calm_value> options_;
  std::int64_t batch_size_, accumulation_, log_interval_;
  Samples train_, val_;
  std::unique_ptr<Stages> stages_;
  std::unique_ptr<run::Weights> best_;
  Bookkeeping books_;

  Clock::time_point start_ = Clock::now();
  Clock::time_point mark_ = start_;  // of the speed measurement
  std::uint64_t rows_since_mark_ = 0;
  std::uint32_t epoch_ = 0;  // 1-based while running
  std::uint64_t step_ = 0;   // updates done
  std::uint64_t scheduled_ = 0, total_ = 0;
  double best_val_ = std::numeric_limits<double>::infinity();
  std::uint64_t validated_step_ = ~std::uint64_t{0};
  std::optional<double> val_loss_;
  std::int64_t last_refused_ = 0;

  struct Pending {
    double inv_count;
    bool update;
    std::uint64_t step;
    double lr;
  };
  std::vector<Pending> pending_;  // micro-batches whose metrics are still on the device
  double epoch_loss_ = 0;
  std::uint64_t epoch_batches_ = 0;
  StepMetrics metrics_;
};

Run::Run(run::Runtime &runtime, run::Session &session, const TrainConfig &config,
         TrainObserver &observer)
    : runtime_(runtime),
      session_(session),
      config_(config),
      observer_(observer),
      loaded_(config.init_cwgt.empty()
                  ? run::make_model(runtime, config.backbone, config.model, config.seed)
                  : run::load_model(runtime, config.init_cwgt)),
      trainer_(runtime.plugins().trainer(config.objective)),
      options_(config.training.records()),
      batch_size_(config.training.integer("batch_size")),
      accumulation_(config.training.integer("gradient_accumulation_steps")),
      log_interval_(config.training.integer("log_interval_steps")) {
  const std::int64_t l_max = loaded_.model->l_max();
  run::check_savable(runtime, *loaded_.model, config.metadata);
  // Whether the result can be written is found out now, not after hours.
  OutputFile probe(config.save_dir + "/model.cwgt");
  train_ = load(runtime, config.dataset, l_max, true);
  if (!config.val_dataset.empty()) {
    val_ = load(runtime, config.val_dataset, l_max, false);
  }
  const auto samples = static_cast<std::uint64_t>(train_.usable.size());
  const auto batch = static_cast<std::uint64_t>(batch_size_);
  const auto accumulation = static_cast<std::uint64_t>(accumulation_);
  const auto epochs = static_cast<std::uint64_t>(config.training.integer("epochs"));
  scheduled_ = scheduled_steps(samples, batch, accumulation, epochs);
  total_ = real_steps(samples, batch, accumulation, epochs);
  if (config.max_steps) {
    total_ = std::min(total_, *config.max_steps);
  }
  graph::OptimizerOptions optimizer;
  optimizer.weight_decay = config.training.real("weight_decay");
  optimizer.clip_grad_norm = config.training.real("clip_grad_norm");
  stages_ = std::make_unique<Stages>(session, *loaded_.model,
                                     run::Objective{&trainer_, &config_.training}, optimizer);
  stages_->upload(*loaded_.weights);
}

double Run::learning_rate() const {
  double lr = 0;
  call(trainer_.learning_rate, options_.data(), static_cast<std::uint32_t>(options_.size()), step_,
       scheduled_, &lr);
  return lr;
}

StepMetrics Run::snapshot() const {
  StepMetrics m = metrics_;
  m.seconds = seconds_since(start_);
  m.total_steps = total_;
  m.val_loss = val_loss_;
  const double per_step = m.step > 0 ? m.seconds / static_cast<double>(m.step) : 0;
  m.remaining_seconds = per_step * static_cast<double>(total_ - std::min(m.step, total_));
  if (config_.max_seconds) {
    m.remaining_seconds =
        std::min(m.remaining_seconds, std::max(0.0, *config_.max_seconds - m.seconds));
  }
  return m;
}

// Takes the rows that came off the device and tells the observer about each update.
void Run::read_metrics(bool last_of_epoch) {
  const std::vector<Stages::Metrics> rows = stages_->read_metrics();
  const double seconds = seconds_since(mark_);
  if (seconds > 0 && rows_since_mark_ > 0) {
    const double now = static_cast<double>(rows_since_mark_) / seconds;
    metrics_.tokens_per_s =
        metrics_.tokens_per_s > 0 ? 0.8 * metrics_.tokens_per_s + 0.2 * now : now;
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Pending &p = pending_[i];
    metrics_.loss = rows[i].loss_sum * p.inv_count;
    epoch_loss_ += metrics_.loss;
    ++epoch_batches_;
    if (!p.update) {
      continue;
    }
    metrics_.epoch = epoch_;
    metrics_.step = p.step;
    metrics_.lr = p.lr;
    metrics_.grad_norm = rows[i].grad_norm;
    metrics_.mean_loss = epoch_loss_ / static_cast<double>(epoch_batches_);
    if (rows[i].refused >= 3) {
      throw Error(CALM_DIVERGED,
                  fmt::format("training diverged at step {}: three updates in a row had gradients "
                              "that are not finite; nothing was published, try a smaller --lr",
                              p.step));
    }
    if (rows[i].refused > last_refused_) {
      log_warning("step {}: the gradients are not finite, the update was skipped", p.step);
    }
    last_refused_ = rows[i].refused;
    const StepMetrics m = snapshot();
    observer_.stepped(m);
    // A flush neither logs nor counts towards the interval (spec I.9).
    const bool flush = last_of_epoch && i + 1 == rows.size();
    if (!flush && log_interval_ > 0 && p.step % static_cast<std::uint64_t>(log_interval_) == 0) {
      observer_.logged(m);
    }
  }
  pending_.clear();
  mark_ = Clock::now();
  rows_since_mark_ = 0;
}

// Unweighted mean over batches in file order (spec I.10).
double Run::validate() {
  double sum = 0;
  std::uint64_t batches = 0;
  const std::span<const std::uint32_t> all = val_.usable;
  const auto size = static_cast<std::size_t>(batch_size_);
  for (std::size_t begin = 0; begin < all.size(); begin += size) {
    const data::Batch batch =
        data::pack(val_.dataset, all.subspan(begin, std::min(size, all.size() - begin)),
                   batch_size_, loaded_.model->l_max());
    sum += batch.counted > 0 ? stages_->eval(batch) / static_cast<double>(batch.counted) : 0.0;
    ++batches;
  }
  mark_ = Clock::now();
  return sum / static_cast<double>(batches);
}

void Run::validate_and_keep_best() {
  if (val_.usable.empty() || validated_step_ == step_) {
    return;
  }
  val_loss_ = validate();
  validated_step_ = step_;
  if (*val_loss_ < best_val_) {
    best_val_ = *val_loss_;
    if (config_.export_weights == Export::kBest) {
      if (!best_) {
        best_ = std::make_unique<run::Weights>(loaded_.model->layout());
      }
      stages_->download(*best_);
    }
  }
  observer_.validated(snapshot());
}

// Why the run ends after this update, or empty.
std::string Run::limit_reached() const {
  if (runtime_.cancelled()) {
    return "a signal asked to stop";
  }
  if (config_.max_steps && step_ >= *config_.max_steps) {
    return fmt::format("{} steps are done", step_);
  }
  if (config_.max_seconds && seconds_since(start_) >= *config_.max_seconds) {
    return fmt::format("the time of {:g} s is over", *config_.max_seconds);
  }
  return {};
}

bool Run::epoch() {
  ++epoch_;
  const Clock::time_point epoch_start = Clock::now();
  const std::size_t count = train_.usable.size();
  std::vector<std::uint32_t> order = train_.usable;
  if (config_.training.flag("shuffle")) {
    const std::vector<std::uint32_t> permutation = data::shuffled(count, config_.seed, epoch_);
    std::transform(permutation.begin(), permutation.end(), order.begin(),
                   [this](std::uint32_t i) { return train_.usable[i]; });
  }
  epoch_loss_ = 0;
  epoch_batches_ = 0;
  std::int64_t counter = 0;  // micro-batches since the last update
  const auto size = static_cast<std::size_t>(batch_size_);
  bool ended = false;
  bool complete = false;
  for (std::size_t begin = 0; begin < count && !ended; begin += size) {
    const std::size_t n = std::min(size, count - begin);
    const data::Batch batch = data::pack(train_.dataset, std::span(order).subspan(begin, n),
                                         batch_size_, loaded_.model->l_max());
    const bool last = begin + size >= count;
    complete = last;
    Stages::MicroBatch micro;
    micro.first = counter == 0;
    micro.update = counter + 1 == accumulation_ || last;
    micro.grad_scale = 1.0 / static_cast<double>(accumulation_);
    micro.lr = learning_rate();
    micro.t = step_ + 1;
    const bool flush = last && counter + 1 < accumulation_;
    stages_->train(batch, micro);
    rows_since_mark_ += static_cast<std::uint64_t>(batch.rows);
    counter = micro.update ? 0 : counter + 1;
    step_ += micro.update ? 1 : 0;
    pending_.push_back({batch.counted > 0 ? 1.0 / static_cast<double>(batch.counted) : 0.0,
                        micro.update, step_, micro.lr});
    const std::string reason = micro.update ? limit_reached() : std::string();
    ended = !reason.empty();
    const bool validate_now =
        micro.update && config_.val_every > 0 && step_ % config_.val_every == 0;
    if (stages_->unread_metrics() >= kMetricsEvery || last || ended || validate_now || step_ <= 2) {
      read_metrics(flush);
    }
    // A signal must not wait for a validation.
    if (validate_now || (ended && !runtime_.cancelled())) {
      validate_and_keep_best();
    }
    if (ended) {
      observer_.stopping(reason);
    }
  }
  if (ended && !complete) {
    return false;
  }
  const double train_loss =
      epoch_loss_ / static_cast<double>(std::max<std::uint64_t>(epoch_batches_, 1));
  validate_and_keep_best();
  const std::optional<double> val = val_.usable.empty() ? std::nullopt : val_loss_;
  const auto epochs = static_cast<std::uint32_t>(config_.training.integer("epochs"));
  observer_.epoch_ended({epoch_, epochs, train_loss, val, seconds_since(epoch_start)});
  books_.epoch_ended(train_loss, val);
  if (ended) {
    return false;
  }
  if (books_.should_stop(config_.training.integer("patience"))) {
    observer_.stopping("early stopping: the losses no longer improve");
    return false;
  }
  return epoch_ < epochs;
}

TrainResult Run::run() {
  observer_.started({loaded_.model->param_count(), train_.usable.size(), val_.usable.size(),
                     static_cast<std::uint64_t>(batch_size_),
                     static_cast<std::uint64_t>(config_.training.integer("epochs")), scheduled_,
                     train_.dataset.size() - train_.usable.size(),
                     val_.dataset.size() - val_.usable.size(), session_.name(),
                     config_.training.real("learning_rate"),
                     config_.training.integer("warmup_steps")});
  start_ = mark_ = Clock::now();
  while (epoch()) {
  }
  stages_->download(*loaded_.weights);
  TrainResult result;
  result.cancelled = runtime_.cancelled();
  result.steps = step_;
  result.train_loss = metrics_.mean_loss;
  if (best_val_ < std::numeric_limits<double>::infinity()) {
    result.best_val_loss = best_val_;
  }
  const run::Weights &weights = best_ ? *best_ : *loaded_.weights;
  if (!weights.finite()) {
    throw Error(CALM_DIVERGED,
                "training diverged: the weights are not finite; nothing was published");
  }
  result.model_path = config_.save_dir + "/model.cwgt";
  run::save_model(runtime_, *loaded_.model, weights, config_.metadata, result.model_path);
  return result;
}

}  // namespace

TrainResult train(run::Runtime &runtime, run::Session &session, const TrainConfig &config,
                  TrainObserver &observer) {
  return Run(runtime, session, config, observer).run();
}

}  // namespace calm::train
