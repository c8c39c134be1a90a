#pragma once

#include <string>
#include <string_view>

#include "core/data/document.hpp"
#include "core/run/weights.hpp"

namespace calm::run {

/// Adds every parameter as F32 under `prefix` + its checkpoint name, in parameter order.
void add_weights(data::Document &document, const Weights &weights, std::string_view prefix = {});

/// Takes every parameter from its tensor. CALM_CORRUPT_DATA naming `path` and the tensor when one
/// is missing, has another type or holds a number that is not finite.
void take_weights(const data::Document &document, Weights &weights, const std::string &path,
                  std::string_view prefix = {});

/// Fisher information and anchor under "ewc/fisher/" and "ewc/theta_star/", as CWGT and checkpoints
/// both name them (spec K.4, M.2); nothing when there is none.
void add_ewc(data::Document &document, const EwcWeights &ewc);
EwcWeights take_ewc(const data::Document &document, const graph::ParamLayout &layout,
                    const std::string &path);

}  // namespace calm::run
