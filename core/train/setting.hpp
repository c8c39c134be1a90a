#pragma once

#include <string>

#include <calm/cpp/value.hpp>

namespace calm::train {

/// One setting of a configuration, and where it was said, for messages.
struct Setting {
  std::string section;  ///< "model", "training", "sampler", or empty for a key at the top
  OwnedValue value;
  std::string origin;  ///< "FILE:LINE", "--lr"
};

}  // namespace calm::train
