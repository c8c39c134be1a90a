#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

#include "core/train/run.hpp"

namespace calm::train {

namespace {

// Time between two agreements on whether to stop, and the most micro-batches: a person waits no
// longer, and small models do not meet after every one.
constexpr double kLookSeconds = 0.05;
constexpr std::int64_t kLookEvery = 8;

}  // namespace

// The same backend and data, and start weights of the same bits: draws go through the system's
// library of mathematics, which may round otherwise on another processor.
void Run::start_alike() {
  if (!ranks_.several()) {
    return;
  }
  std::string data = at_.dataset + at_.val_dataset;
  const std::string own = data;
  ranks_.broadcast(data.data(), data.size());
  std::array<char, 64> backend{};
  session_.name().copy(backend.data(), backend.size() - 1);
  ranks_.broadcast(backend.data(), backend.size());
  ranks_.together([&] {
    // Hosts may differ, and "auto" with them; sums of one backend never meet those of another.
    if (std::string_view(backend.data()) != session_.name().substr(0, backend.size() - 1)) {
      throw Error(CALM_INVALID_ARGUMENT,
                  fmt::format("expected backend {} as rank 0, found {}; --backend names one",
                              backend.data(), session_.name()));
    }
    if (data != own) {
      throw Error(
          CALM_INVALID_ARGUMENT,
          fmt::format("{}: expected the data of rank 0, found other sequences", config_.dataset));
    }
  });
  const std::span<float> weights = loaded_.weights->flat();
  ranks_.broadcast(weights.data(), weights.size_bytes());
  stages_->upload(*loaded_.weights);
}

// Whether a signal or the clock ends the run: alone at once, else when all ranks look together, so
// that all stop at the same step. The first rank's clock counts, and says when they look next.
void Run::look_for_stop() {
  ++since_look_;
  const bool late = config_.max_seconds && seconds() >= *config_.max_seconds;
  if (!ranks_.several()) {
    signal_ = runtime_.stop_signal();
    late_ = late;
    return;
  }
  if (--next_look_ > 0) {
    return;
  }
  const double passed = std::chrono::duration<double>(Clock::now() - looked_).count();
  const double wanted = kLookSeconds / std::max(passed / static_cast<double>(since_look_), 1e-9);
  std::vector<double> all(ranks_.count() + 2, 0.0);  // signals, whether it is late, next look
  all[ranks_.rank()] = runtime_.stop_signal();
  if (ranks_.first()) {
    all[ranks_.count()] = late ? 1 : 0;
    all[ranks_.count() + 1] = std::clamp(wanted, 1.0, static_cast<double>(kLookEvery));
  }
  ranks_.sum(all);
  for (std::uint32_t r = 0; r < ranks_.count() && signal_ == 0; ++r) {
    signal_ = static_cast<int>(all[r]);
  }
  late_ = all[ranks_.count()] > 0;
  next_look_ = static_cast<std::int64_t>(all[ranks_.count() + 1]);
  since_look_ = 0;
  looked_ = Clock::now();
}

}  // namespace calm::train
