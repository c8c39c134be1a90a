#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/data/document.hpp"
#include "core/run/language_model.hpp"
#include "core/run/runtime.hpp"
#include "core/run/weights.hpp"

namespace calm::run {

/// Sampler settings; absent = not set (spec B.9, K.2).
struct SamplerDefaults {
  std::optional<double> temperature, top_p, min_p;
  std::optional<std::int64_t> top_k, max_tokens, candidates;
  bool any() const { return temperature || top_p || min_p || top_k || max_tokens || candidates; }
};

/// What a model file says beside its weights.
struct ModelMetadata {
  std::string domain;
  std::string template_spec;
  std::string stop_conditions;
  SamplerDefaults sampler;
};

/// Template, stop conditions and sampler defaults of a domain plugin (spec B.9). An unknown domain
/// has empty ones, as the files of others may name any.
ModelMetadata domain_metadata(Runtime &runtime, std::string_view domain);

/// A model with its weights on the host.
struct LoadedModel {
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<Weights> weights;
  ModelMetadata metadata;
  EwcWeights ewc;  ///< where the file carries it
};

/// A fresh model: weights drawn from `seed`.
LoadedModel make_model(Runtime &runtime, std::string_view backbone, const Values &config,
                       std::uint64_t seed);

/// Reads a CWGT file, a checkpoint or model folder (spec M), or the model.cwgt of a run's folder.
/// CALM_CORRUPT_DATA, CALM_VERSION, CALM_IO naming the path.
LoadedModel load_model(Runtime &runtime, const std::string &path);

/// Writes a CWGT file atomically, with an EWC block where `ewc` has one; refuses numbers that are
/// not finite before anything is written.
void save_model(Runtime &runtime, const LanguageModel &model, const Weights &weights,
                const ModelMetadata &metadata, const std::string &path, const EwcWeights &ewc = {});

/// Whether the format can hold this model at all (header ranges, metadata size): asked before
/// training starts, not after. CALM_INVALID_ARGUMENT naming the field.
void check_savable(Runtime &runtime, const LanguageModel &model, const ModelMetadata &metadata);

}  // namespace calm::run
