#pragma once

#include <string>

#include "core/run/manifest.hpp"
#include "core/run/model_file.hpp"

namespace calm::run {

/// Model, weights and metadata of a checkpoint or model folder (spec M), ours or a peer's. Only the
/// files that are read are verified. Errors name the file, as load_model's do.
LoadedModel load_model_folder(Runtime &runtime, const std::string &folder,
                              const Manifest &manifest);

/// Adds the parameters as M.2 wants them: under "model/", the tied head as a copy of its own.
void add_folder_weights(data::Document &document, const Weights &weights);

/// The section of a manifest as a schema's values: keys that only peers have are dropped, a value
/// that cannot be is CALM_CORRUPT_DATA naming `path`.
Values section_values(const calm_table &schema, const std::vector<OwnedValue> &given,
                      std::string_view section, const std::string &path);

}  // namespace calm::run
