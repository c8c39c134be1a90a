#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <calm/cpp/value.hpp>

#include "core/run/values.hpp"

namespace calm::train {

/// Online elastic weight consolidation: the section `continual` of a configuration (spec J.1).
struct EwcOptions {
  double lambda = 0;  ///< > 0
  double decay = 0.99;
  std::uint64_t interval = 1000;  ///< updates between consolidations
  std::uint64_t fisher_batches = 16;
  std::uint64_t buffer_batches = 1024;
};

/// The keys of the section, of calm_value_spec.
calm_table continual_keys();

/// Checks a section that was resolved against continual_keys(): absent when its method is "none".
/// CALM_INVALID_ARGUMENT "continual.KEY: expected X, found Y".
std::optional<EwcOptions> ewc_options(const run::Values &section);

/// The section that says these options again, whole.
std::vector<OwnedValue> continual_section(const EwcOptions &options);

}  // namespace calm::train
