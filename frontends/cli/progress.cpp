#include "frontends/cli/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>

namespace calm::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBar = 20;  // columns between the brackets
constexpr std::size_t kLeastBar = 5;
constexpr std::size_t kUsualWidth = 80;

std::size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return size.ws_col;
  }
  return kUsualWidth;
}

std::string loss_text(const train::StepMetrics &m) {
  return m.val_loss ? fmt::format("loss {:.4f} val {:.4f}", m.mean_loss, *m.val_loss)
                    : fmt::format("loss {:.4f}", m.mean_loss);
}

}  // namespace

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) {
    return "?";
  }
  if (seconds < 9.95) {
    return fmt::format("{:.1f}s", seconds);
  }
  const auto total = static_cast<std::uint64_t>(std::min(std::round(seconds), 1e15));
  if (total < 60) {
    return fmt::format("{}s", total);
  }
  if (total < 3600) {
    return fmt::format("{}m{:02}s", total / 60, total % 60);
  }
  return fmt::format("{}h{:02}m", total / 3600, total % 3600 / 60);
}

std::string format_count(double count) {
  if (count < 1000) {
    return fmt::format("{:.0f}", count);
  }
  return count < 1e6 ? fmt::format("{:.1f}k", count / 1e3) : fmt::format("{:.2f}M", count / 1e6);
}

std::string format_thousands(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, ",");
  }
  return text;
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::uint64_t kMiB = 1 << 20;
  return bytes < kMiB ? fmt::format("{} KiB", (bytes + 1023) / 1024)
                      : fmt::format("{:.1f} MiB", static_cast<double>(bytes) / kMiB);
}

std::string progress_line(const train::StepMetrics &m, std::optional<double> max_seconds,
                          std::uint32_t epochs, std::size_t width) {
  double done =
      m.total_steps > 0 ? static_cast<double>(m.step) / static_cast<double>(m.total_steps) : 0.0;
  std::string position = fmt::format("{}/{}", m.step, m.total_steps);
  if (max_seconds && m.seconds / *max_seconds > done) {
    done = m.seconds / *max_seconds;
    position = fmt::format("step {} {}/{}", m.step, format_duration(m.seconds),
                           format_duration(*max_seconds));
  }
  const std::string epoch = fmt::format("epoch {}/{} ", m.epoch, epochs);
  std::string rest =
      fmt::format("{} {} {} tok/s ETA {}", position, loss_text(m), format_count(m.tokens_per_s),
                  format_duration(m.remaining_seconds));
  // What does not fit goes: first the learning rate, then the bar.
  const std::string rate = fmt::format(" lr {:.1e}", m.lr);
  if (epoch.size() + rest.size() + rate.size() + kLeastBar + 3 <= width) {
    rest += rate;
  }
  std::string bar;
  if (epoch.size() + rest.size() + kLeastBar + 3 <= width) {
    const std::size_t columns = std::min(kBar, width - epoch.size() - rest.size() - 3);
    const auto full =
        static_cast<std::size_t>(std::clamp(done, 0.0, 1.0) * static_cast<double>(columns));
    bar = fmt::format("[{}{}] ", std::string(full, '#'), std::string(columns - full, '.'));
  }
  std::string line = epoch + bar + rest;
  line.resize(std::min(line.size(), width));
  return line;
}

TrainProgress::TrainProgress(const Context &context, const train::TrainConfig &config)
    : context_(context),
      config_(config),
      live_(is_terminal(stderr) && !context.options.quiet),
      colored_(colored(stderr, context.options.color)) {}

TrainProgress::~TrainProgress() { erase(); }

void TrainProgress::erase() {
  if (drawn_) {
    std::fputs("\r\x1b[K", stderr);
    std::fflush(stderr);
    drawn_ = false;
  }
}

void TrainProgress::print(const std::string &line) {
  erase();
  context_.note(line);
}

void TrainProgress::started(const Start &start) {
  epochs_ = static_cast<std::uint32_t>(start.epochs);
  print(fmt::format("model: {} parameters, seed {}", format_thousands(start.params), config_.seed));
  print(fmt::format("training: {} {} ({} dropped), {} epochs, batch {}, {} steps",
                    format_thousands(start.sequences), config_.pairs ? "pairs" : "sequences",
                    format_thousands(start.dropped), start.epochs, start.batch,
                    format_thousands(start.total_steps)));
  if (!config_.val_dataset.empty()) {
    print(fmt::format("validation: {} sequences ({} dropped)",
                      format_thousands(start.val_sequences), format_thousands(start.val_dropped)));
  }
  print(fmt::format("learning rate: {} (warm-up {} steps)", start.lr, start.warmup));
  if (start.first_step > 0) {
    print(fmt::format("resumed after {} steps from {}", format_thousands(start.first_step),
                      config_.resume));
  }
}

void TrainProgress::stepped(const train::StepMetrics &metrics) {
  constexpr auto kInterval = std::chrono::milliseconds(100);
  const Clock::time_point now = Clock::now();
  if (!live_ || now - redraw_ < kInterval) {
    return;
  }
  redraw_ = now;
  // One column stays free: a full last column makes some terminals wrap.
  const std::string line =
      progress_line(metrics, config_.max_seconds, epochs_, terminal_width() - 1);
  const std::string shown =
      colored_ ? fmt::format("\r\x1b[36m{}\x1b[0m\x1b[K", line) : fmt::format("\r{}\x1b[K", line);
  std::fwrite(shown.data(), 1, shown.size(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

void TrainProgress::logged(const train::StepMetrics &m) {
  if (!live_) {
    print(fmt::format("step {}/{} epoch {} {} lr {:.2e} {:.0f} tokens/s", m.step, m.total_steps,
                      m.epoch, loss_text(m), m.lr, m.tokens_per_s));
  }
}

void TrainProgress::validated(const train::StepMetrics &m) {
  print(fmt::format("step {}: validation loss {:.4f}, training loss {:.4f}, {}", m.step,
                    m.val_loss.value_or(0), m.mean_loss, format_duration(m.seconds)));
}

void TrainProgress::epoch_ended(const Epoch &e) {
  print(e.val_loss
            ? fmt::format("epoch {}/{}: training loss {:.4f}, validation loss {:.4f}, {}", e.epoch,
                          e.epochs, e.train_loss, *e.val_loss, format_duration(e.seconds))
            : fmt::format("epoch {}/{}: training loss {:.4f}, {}", e.epoch, e.epochs, e.train_loss,
                          format_duration(e.seconds)));
}

void TrainProgress::saved(const std::string &path) {
  if (context_.options.verbose > 0) {
    print("checkpoint: " + path);
  }
}

void TrainProgress::stopping(const std::string &why) { print("stopping: " + why); }

}  // namespace calm::cli
