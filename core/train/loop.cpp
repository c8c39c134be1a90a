#include <algorithm>
#include <limits>
#include <numeric>
#include <span>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/base/log.hpp"
#include "core/train/run.hpp"

namespace calm::train {

namespace {

// Updates between two looks at the metrics; results do not depend on it (program rule 9).
// Reading them waits for the device. Several ranks read together, so at the same steps.
constexpr std::int64_t kMetricsEvery = 128;
constexpr std::int64_t kMetricsEveryTogether = 8;
constexpr std::chrono::milliseconds kMetricsAge{100};

}  // namespace

double Run::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

double Run::learning_rate() const {
  double lr = 0;
  call(trainer_.learning_rate, options_.data(), static_cast<std::uint32_t>(options_.size()),
       at_.global_step, scheduled_, &lr);
  return lr;
}

StepMetrics Run::snapshot() const {
  StepMetrics m = metrics_;
  m.seconds = seconds();
  m.total_steps = total_;
  m.val_loss = at_.val_loss;
  const std::uint64_t here = m.step - std::min(m.step, first_step_);  // done by this process
  const double per_step = here > 0 ? m.seconds / static_cast<double>(here) : 0;
  m.remaining_seconds = per_step * static_cast<double>(total_ - std::min(m.step, total_));
  if (config_.max_seconds) {
    m.remaining_seconds =
        std::min(m.remaining_seconds, std::max(0.0, *config_.max_seconds - m.seconds));
  }
  return m;
}

bool Run::metrics_due() const {
  const std::int64_t unread = stages_->unread_metrics();
  return ranks_.several() ? unread >= kMetricsEveryTogether
                          : unread >= kMetricsEvery || Clock::now() - mark_ >= kMetricsAge;
}

// Takes the rows that came off the device and tells the observer about each update.
void Run::read_metrics(bool last_of_epoch) {
  const std::vector<Stages::Metrics> rows = stages_->read_metrics();
  // A rank's losses are those of its share; all else is the same on all of them.
  std::vector<double> losses(rows.size());
  std::transform(rows.begin(), rows.end(), losses.begin(),
                 [](const Stages::Metrics &row) { return row.loss_sum; });
  ranks_.sum(losses);
  const double seconds = std::chrono::duration<double>(Clock::now() - mark_).count();
  if (seconds > 0 && rows_since_mark_ > 0) {
    const double now = static_cast<double>(rows_since_mark_) / seconds;
    metrics_.tokens_per_s =
        metrics_.tokens_per_s > 0 ? 0.8 * metrics_.tokens_per_s + 0.2 * now : now;
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Pending &p = pending_[i];
    metrics_.loss = losses[i] * p.inv_count;
    at_.loss_sum += metrics_.loss;
    ++at_.loss_count;
    if (!p.update) {
      continue;
    }
    metrics_.epoch = static_cast<std::uint32_t>(at_.current_epoch + 2);
    metrics_.step = p.step;
    metrics_.lr = p.lr;
    metrics_.grad_norm = rows[i].grad_norm;
    metrics_.penalty = config_.ewc ? 0.5 * config_.ewc->lambda * rows[i].ewc_sum : 0;
    metrics_.mean_loss = at_.loss_sum / static_cast<double>(at_.loss_count);
    if (rows[i].refused >= 3) {
      ranks_.together([&p] {
        throw Error(
            CALM_DIVERGED,
            fmt::format("training diverged at step {}: three updates in a row had gradients "
                        "that are not finite; nothing was published, try a smaller --lr",
                        p.step));
      });
    }
    if (rows[i].refused > at_.refused) {
      log_warning("step {}: the gradients are not finite, the update was skipped", p.step);
    }
    at_.refused = rows[i].refused;
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

// Unweighted mean over batches in file order (spec I.10). Batches are dealt to the ranks whole, and
// added up in the same order by each: the value is that of a process alone, to the bit.
double Run::validate() {
  const std::span<const std::uint32_t> all = val_.usable;
  const auto size = static_cast<std::size_t>(batch_size_);
  std::vector<double> losses((all.size() + size - 1) / size, 0.0);
  for (std::size_t i = ranks_.rank(); i < losses.size(); i += ranks_.count()) {
    const data::Batch batch =
        val_.batch(all.subspan(i * size, std::min(size, all.size() - i * size)), batch_size_,
                   loaded_.model->l_max());
    losses[i] = batch.counted > 0 ? stages_->eval(batch) / static_cast<double>(batch.counted) : 0.0;
  }
  ranks_.sum(losses);
  mark_ = Clock::now();
  return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
}

void Run::validate_and_keep_best() {
  if (val_.usable.empty() || at_.validated_step == at_.global_step) {
    return;
  }
  at_.val_loss = validate();
  at_.validated_step = at_.global_step;
  if (*at_.val_loss < at_.exported.value_or(std::numeric_limits<double>::infinity())) {
    at_.exported = at_.val_loss;
    if (config_.export_weights == Export::kBest) {
      if (!best_) {
        best_ = std::make_unique<run::Weights>(loaded_.model->layout());
      }
      stages_->download(*best_);
    }
  }
  observer_.validated(snapshot());
}

// Also after a resume: a run that was stopped did not wait for a validation.
void Run::validate_if_due() {
  if (config_.val_every > 0 && at_.global_step > 0 && at_.accumulated == 0 &&
      at_.global_step % config_.val_every == 0) {
    validate_and_keep_best();
  }
}

// Why the run ends after this micro-batch, or empty. Only a signal ends it between updates.
std::string Run::limit_reached() const {
  if (signal_ != 0) {
    return "a signal asked to stop";
  }
  if (at_.accumulated > 0) {
    return {};
  }
  if (config_.max_steps && at_.global_step >= *config_.max_steps) {
    return fmt::format("{} steps are done", at_.global_step);
  }
  if (late_) {
    return fmt::format("the time of {:g} s is over", *config_.max_seconds);
  }
  return {};
}

// The largest batch that is to come has its program first: memory that would not do ends the run
// now, not after hours, and the workspace, which all programs are bound to, has its size at once.
void Run::prepare(std::span<const std::uint32_t> order) {
  if (config_.max_steps) {
    const std::uint64_t steps = *config_.max_steps - std::min(*config_.max_steps, at_.global_step);
    const auto most = static_cast<std::uint64_t>(order.size());
    order = order.first(std::min(
        most, std::min(steps, most) * static_cast<std::uint64_t>(batch_size_ * accumulation_)));
  }
  const std::int64_t l_max = loaded_.model->l_max();
  const auto largest = train_.largest_batch(order, batch_size_, l_max);
  if (!largest.empty()) {
    stages_->prepare(train_.batch(largest, batch_size_, l_max, share()));
  }
}

void Run::micro_batch(const data::Batch &batch, bool last) {
  Stages::MicroBatch micro;
  micro.first = at_.accumulated == 0;
  micro.update = at_.accumulated + 1 == accumulation_ || last;
  micro.grad_scale = 1.0 / static_cast<double>(accumulation_);
  micro.lr = learning_rate();
  micro.t = at_.global_step + 1;
  // Before they are summed the gradients of all ranks need the penalty's once, afterwards each
  // does.
  micro.ewc_lambda = config_.ewc && (micro.update || ranks_.first()) ? config_.ewc->lambda : 0;
  stages_->train(batch, micro);
  rows_since_mark_ += static_cast<std::uint64_t>(batch.all_rows);
  if (micro.update) {
    at_.accumulated = 0;
    ++at_.global_step;
    lr_ = micro.lr;
  } else {
    ++at_.accumulated;
  }
  pending_.push_back({batch.counted > 0 ? 1.0 / static_cast<double>(batch.counted) : 0.0,
                      micro.update, at_.global_step, micro.lr});
}

// The run ends inside an epoch: the state as it is now, before anything an uninterrupted run would
// not do here.
void Run::stop(const std::string &reason) {
  ended_ = true;
  observer_.stopping(reason);
  save(false, true);
  // A signal must not wait for a validation.
  if (signal_ == 0) {
    validate_and_keep_best();
  }
}

void Run::epoch() {
  const Clock::time_point start = Clock::now();
  const auto number = static_cast<std::uint32_t>(at_.current_epoch + 2);  // 1-based
  const std::vector<std::uint32_t> order =
      train_.order(config_.training.flag("shuffle"), config_.seed, number);
  validate_if_due();
  const auto size = static_cast<std::size_t>(batch_size_);
  const std::size_t count = train_.taken(size);
  prepare(std::span(order).subspan(at_.position, count - at_.position));
  while (at_.position < count) {
    const std::size_t n = std::min<std::size_t>(size, count - at_.position);
    const auto samples = std::span(order).subspan(at_.position, n);
    const data::Batch batch = train_.batch(samples, batch_size_, loaded_.model->l_max(), share());
    const bool last = at_.position + n == count;
    const bool flush = last && at_.accumulated + 1 < accumulation_;
    micro_batch(batch, last);
    at_.position += n;
    const bool updated = at_.accumulated == 0;
    if (updated && !flush) {
      remember(samples);
    }
    const std::uint64_t step = at_.global_step;
    look_for_stop();
    const std::string reason = limit_reached();
    const bool validate_now = updated && config_.val_every > 0 && step % config_.val_every == 0;
    const bool save_now = updated && config_.save_every > 0 && step % config_.save_every == 0;
    if (metrics_due() || last || !reason.empty() || validate_now || save_now || step <= 2) {
      read_metrics(flush);
    }
    if (!reason.empty() && (!last || signal_ != 0)) {
      return stop(reason);
    }
    if (validate_now) {
      validate_and_keep_best();
    }
    if (save_now && !last) {
      save(false, false);
    }
    if (!reason.empty()) {
      ended_ = true;
      observer_.stopping(reason);
    }
  }
  end_epoch(start);
}

// Spec I.10 and I.11.
void Run::end_epoch(Clock::time_point start) {
  const double train_loss =
      at_.loss_sum / static_cast<double>(std::max<std::uint64_t>(at_.loss_count, 1));
  validate_and_keep_best();
  const std::optional<double> val = val_.usable.empty() ? std::nullopt : at_.val_loss;
  const auto epochs = static_cast<std::uint32_t>(config_.training.integer("epochs"));
  observer_.epoch_ended({static_cast<std::uint32_t>(at_.current_epoch + 2), epochs, train_loss, val,
                         std::chrono::duration<double>(Clock::now() - start).count()});
  const bool improved =
      train_.pairs() ? books_.pairs_epoch_ended(train_loss) : books_.epoch_ended(train_loss, val);
  ++at_.current_epoch;
  at_.position = 0;
  at_.loss_sum = 0;
  at_.loss_count = 0;
  save(improved, false);
}

bool Run::finished() {
  if (ended_) {
    return true;
  }
  // Said after the last epoch too (spec I.11).
  if (at_.current_epoch >= 0 && at_.position == 0 &&
      books_.should_stop(config_.training.integer("patience"))) {
    observer_.stopping(kEarlyStopping);
    return true;
  }
  if (at_.current_epoch + 1 >= config_.training.integer("epochs")) {
    return true;
  }
  // A resumed run may have reached its limit before it begins.
  return at_.accumulated == 0 && config_.max_steps && at_.global_step >= *config_.max_steps;
}

}  // namespace calm::train
