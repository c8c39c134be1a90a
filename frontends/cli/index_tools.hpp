#pragma once

#include <memory>
#include <string>

#include "core/search/encoder.hpp"
#include "core/search/index.hpp"
#include "frontends/cli/context.hpp"

// What `calm index` and `calm search` share.
namespace calm::cli {

/// A model on a device, for the vectors of an index.
struct VectorTools {
  std::unique_ptr<run::Session> session;
  std::unique_ptr<search::Encoder> encoder;
};

/// `pooling` "mean" or "last".
VectorTools open_encoder(Context &context, const std::string &model, const std::string &pooling);

/// The model an index was built with, which it must have: from `given` (-m), or from where it was
/// when `given` is empty. CALM_INVALID_ARGUMENT when that is another model now.
VectorTools open_encoder_of(Context &context, const search::Index &index, const std::string &given);

}  // namespace calm::cli
