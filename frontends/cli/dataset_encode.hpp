#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "frontends/cli/context.hpp"

namespace calm::cli {

struct EncodeOptions {
  std::string input, output;
  std::string val_output;  ///< empty: data::default_val_path
  std::int64_t l_max = 768;
  double val_split = 0;
  bool stats = false;  ///< print the listing of L.7
};

/// A text as CTDS (spec L), of `calm dataset encode` and calm-text-to-ctds; `say` gets the lines of
/// L.7 one by one.
void encode_dataset(Context &context, const EncodeOptions &options,
                    const std::function<void(const std::string &)> &say);

}  // namespace calm::cli
