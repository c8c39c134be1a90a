#pragma once

#include <cstdint>
#include <limits>
#include <optional>

namespace calm::train {

/// Best losses and patience over epochs, exactly spec I.11.
class Bookkeeping {
 public:
  Bookkeeping() = default;
  /// As it stood in an earlier run; an absent best is none yet.
  Bookkeeping(std::optional<double> best_train, std::optional<double> best_val,
              std::int64_t counter)
      : best_train_(best_train.value_or(kNone)),
        best_val_(best_val.value_or(kNone)),
        counter_(counter) {}

  /// True when the epoch improved. NaN never does.
  bool epoch_ended(double train, std::optional<double> val) {
    if (val && *val < best_val_) {
      best_val_ = *val;
      counter_ = 0;
      return true;
    }
    if (train < best_train_) {
      best_train_ = train;
      counter_ = counter_ > 0 ? counter_ - 1 : 0;
      return true;
    }
    ++counter_;
    return false;
  }
  /// Of pairs, where nothing is validated, a better loss sets the counter back whole (spec I.15).
  bool pairs_epoch_ended(double loss) {
    const bool improved = loss < best_train_;
    best_train_ = improved ? loss : best_train_;
    counter_ = improved ? 0 : counter_ + 1;
    return improved;
  }
  /// patience 0 stops after the first epoch.
  bool should_stop(std::int64_t patience) const { return counter_ >= patience; }

  double best_train() const { return best_train_; }
  double best_val() const { return best_val_; }
  std::int64_t counter() const { return counter_; }

 private:
  static constexpr double kNone = std::numeric_limits<double>::infinity();
  double best_train_ = kNone;
  double best_val_ = kNone;
  std::int64_t counter_ = 0;
};

/// Updates the learning-rate schedule spans (spec I.3); the real number may be larger.
inline std::uint64_t scheduled_steps(std::uint64_t samples, std::uint64_t batch,
                                     std::uint64_t accumulation, std::uint64_t epochs) {
  const std::uint64_t per_epoch = samples / (batch * accumulation);
  return (per_epoch > 0 ? per_epoch : 1) * epochs;
}

/// Updates that really happen: a short last batch and a short last accumulation count too.
inline std::uint64_t real_steps(std::uint64_t samples, std::uint64_t batch,
                                std::uint64_t accumulation, std::uint64_t epochs) {
  const std::uint64_t batches = (samples + batch - 1) / batch;
  return (batches + accumulation - 1) / accumulation * epochs;
}

}  // namespace calm::train
