#include "core/train/loss_plot.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <vector>

#include <fmt/format.h>

namespace calm::train {

namespace {

constexpr double kWidth = 800, kHeight = 450;
constexpr double kLeft = 70, kRight = 20, kTop = 40, kBottom = 50;
constexpr std::size_t kMostPoints = 1000;
constexpr int kTicks = 6;  // about so many on an axis

struct Range {
  double low, high;
};

// The distance of ticks: 1, 2 or 5 times a power of ten.
double round_step(double span, double least) {
  const double raw = std::max(span / kTicks, least);
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power * (1 + 1e-9)) {
      return factor * power;
    }
  }
  return 10 * power;
}

// Finite points, and of many the means of equal parts.
std::vector<LossPoint> drawn(std::span<const LossPoint> all) {
  std::vector<LossPoint> points;
  std::copy_if(all.begin(), all.end(), std::back_inserter(points),
               [](const LossPoint &p) { return std::isfinite(p.loss); });
  if (points.size() <= kMostPoints) {
    return points;
  }
  std::vector<LossPoint> means;
  for (std::size_t i = 0; i < kMostPoints; ++i) {
    const std::size_t begin = i * points.size() / kMostPoints;
    const std::size_t end = (i + 1) * points.size() / kMostPoints;
    double sum = 0;
    for (std::size_t j = begin; j < end; ++j) {
      sum += points[j].loss;
    }
    means.push_back({points[end - 1].step, sum / static_cast<double>(end - begin)});
  }
  return means;
}

class Picture {
 public:
  Picture(std::span<const LossPoint> training, std::span<const LossPoint> validation)
      : training_(drawn(training)), validation_(drawn(validation)) {
    double last = 0, low = 0, high = 1;
    bool first = true;
    for (const auto *points : {&training_, &validation_}) {
      for (const LossPoint &p : *points) {
        last = std::max(last, static_cast<double>(p.step));
        low = first ? p.loss : std::min(low, p.loss);
        high = first ? p.loss : std::max(high, p.loss);
        first = false;
      }
    }
    step_tick_ = round_step(last, 1);
    steps_ = {0, std::max(std::ceil(last / step_tick_), 1.0) * step_tick_};
    // A single value still needs an axis.
    loss_tick_ = round_step(high - low, std::max(std::fabs(high) * 1e-3, 1e-6));
    losses_ = {std::floor(low / loss_tick_) * loss_tick_,
               std::ceil(high / loss_tick_) * loss_tick_};
    if (losses_.high <= losses_.low) {
      losses_.high = losses_.low + loss_tick_;
    }
  }

  std::string draw() {
    out_ = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
        "height=\"{1}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n"
        "<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
        kWidth, kHeight);
    axes();
    line(training_, "#1f77b4", "training", 0);
    line(validation_, "#d62728", "validation", 1);
    for (const LossPoint &p : validation_) {
      dot(p, "#d62728");
    }
    if (training_.size() == 1) {
      dot(training_.front(), "#1f77b4");
    }
    return out_ + "</svg>\n";
  }

 private:
  double x(double step) const {
    return kLeft + (step - steps_.low) / (steps_.high - steps_.low) * (kWidth - kLeft - kRight);
  }
  double y(double loss) const {
    return kHeight - kBottom -
           (loss - losses_.low) / (losses_.high - losses_.low) * (kHeight - kTop - kBottom);
  }

  void rule(double x1, double y1, double x2, double y2, const char *colour) {
    out_ += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n", x1, y1,
        x2, y2, colour);
  }
  void label(double at_x, double at_y, const char *anchor, const std::string &text) {
    out_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", at_x,
                        at_y, anchor, text);
  }

  void axes() {
    const double bottom = kHeight - kBottom, right = kWidth - kRight;
    const auto count = [](const Range &range, double tick) {
      return static_cast<int>(std::lround((range.high - range.low) / tick));
    };
    const int digits = std::clamp(static_cast<int>(-std::floor(std::log10(loss_tick_))), 0, 9);
    for (int i = 0, n = count(losses_, loss_tick_); i <= n; ++i) {
      const double loss = losses_.low + i * loss_tick_;
      rule(kLeft, y(loss), right, y(loss), "#ddd");
      label(kLeft - 8, y(loss) + 4, "end", fmt::format("{:.{}f}", loss, digits));
    }
    for (int i = 0, n = count(steps_, step_tick_); i <= n; ++i) {
      const double step = steps_.low + i * step_tick_;
      rule(x(step), bottom, x(step), bottom + 5, "#333");
      label(x(step), bottom + 20, "middle", fmt::format("{:.0f}", step));
    }
    rule(kLeft, bottom, right, bottom, "#333");
    rule(kLeft, kTop, kLeft, bottom, "#333");
    label((kLeft + right) / 2, kHeight - 10, "middle", "updates");
    label(kLeft, kTop - 15, "middle", "loss, nats");
  }

  void line(const std::vector<LossPoint> &points, const char *colour, const char *name, int row) {
    if (points.empty()) {
      return;
    }
    const double top = kTop - 28 + row * 16;
    rule(kWidth - kRight - 110, top, kWidth - kRight - 85, top, colour);
    label(kWidth - kRight - 80, top + 4, "start", name);
    out_ +=
        fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" points=\"", colour);
    for (const LossPoint &p : points) {
      out_ += fmt::format("{:.1f},{:.1f} ", x(static_cast<double>(p.step)), y(p.loss));
    }
    out_ += "\"/>\n";
  }
  void dot(const LossPoint &p, const char *colour) {
    out_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n",
                        x(static_cast<double>(p.step)), y(p.loss), colour);
  }

  std::vector<LossPoint> training_, validation_;
  Range steps_{}, losses_{};
  double step_tick_ = 1, loss_tick_ = 1;
  std::string out_;
};

}  // namespace

std::string loss_svg(std::span<const LossPoint> training, std::span<const LossPoint> validation) {
  return Picture(training, validation).draw();
}

}  // namespace calm::train
