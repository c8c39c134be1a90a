#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace calm::train {

struct LossPoint {
  std::uint64_t step;
  double loss;  ///< nats; points that are not finite are not drawn
};

/// The losses of a run over its updates as an SVG picture: axes with round ticks, training as a
/// line, validation as a line with dots. Steps must not fall. Long histories are drawn as means, so
/// the picture stays small.
std::string loss_svg(std::span<const LossPoint> training, std::span<const LossPoint> validation);

}  // namespace calm::train
