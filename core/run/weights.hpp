#pragma once

#include <calm/format.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/graph/params.hpp"
#include "core/run/session.hpp"

namespace calm::run {

/// Host copy of one flat slot in the layout's order: weights, moments, gradients.
class Weights {
 public:
  /// All zero. `layout` must be frozen and outlive this object.
  explicit Weights(const graph::ParamLayout &layout)
      : layout_(&layout), values_(layout.elements(), 0.0F) {}

  const graph::ParamLayout &layout() const { return *layout_; }
  std::span<float> flat() { return values_; }
  std::span<const float> flat() const { return values_; }
  std::span<float> of(std::uint32_t param);
  std::span<const float> of(std::uint32_t param) const;

  /// Draws the initial values of spec E.1 from `seed`: each parameter has its own stream, so adding
  /// one changes no other.
  void initialise(std::uint64_t seed);

  /// Upload to and download from a slot's buffer, converting when programs compute in `real`.
  void write_to(Buffer &buffer, calm_dtype real = CALM_F32) const;
  void read_from(const Buffer &buffer, calm_dtype real = CALM_F32);

  bool finite() const;

 private:
  const graph::ParamLayout *layout_;
  std::vector<float> values_;
};

/// What online EWC remembers of earlier data (spec J.2): both or none.
struct EwcWeights {
  std::unique_ptr<Weights> fisher, anchor;
  explicit operator bool() const { return fisher != nullptr; }
};

}  // namespace calm::run
