#pragma once

#include <string>

#include "core/base/folder.hpp"
#include "core/run/manifest.hpp"
#include "core/run/model_file.hpp"

namespace calm::run {

/// Model, weights and metadata of a checkpoint or model folder (spec M), ours or a peer's. Only the
/// files that are read are verified. Errors name the file, as load_model's do.
LoadedModel load_model_folder(Runtime &runtime, const std::string &folder,
                              const Manifest &manifest);

/// The same from one safetensors file whose metadata holds its manifest under "calm.metadata", as
/// save_model_tensors writes it. CALM_CORRUPT_DATA naming `path` where there is none.
LoadedModel load_model_tensors(Runtime &runtime, const data::Document &document,
                               const std::string &path);

/// Writes a model folder (spec M.5, type "model"), whole or not at all; it has no place for what
/// online EWC remembers. `backbone` is the id of the model's plugin.
void save_model_folder(Runtime &runtime, const LoadedModel &loaded, const std::string &backbone,
                       const std::string &path);

/// Writes one safetensors file with all that the model carries.
void save_model_tensors(Runtime &runtime, const LoadedModel &loaded, const std::string &backbone,
                        const std::string &path);

/// Writes one safetensors file of a folder, and enters its size and sum into the manifest.
void write_hashed(Runtime &runtime, const OutputFolder &folder, const std::string &name,
                  const data::Document &document, Manifest &manifest);

/// Writes metadata.json: last, for where it is, everything else is (spec M.1).
void write_manifest(const OutputFolder &folder, const Manifest &manifest);

/// Adds the parameters as M.2 wants them: under "model/", the tied head as a copy of its own.
void add_folder_weights(data::Document &document, const Weights &weights);

/// The section of a manifest as a schema's values: keys that only peers have are dropped, a value
/// that cannot be is CALM_CORRUPT_DATA naming `path`.
Values section_values(const calm_table &schema, const std::vector<OwnedValue> &given,
                      std::string_view section, const std::string &path);

}  // namespace calm::run
