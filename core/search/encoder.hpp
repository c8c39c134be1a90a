#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/run/embedder.hpp"
#include "core/run/model_file.hpp"
#include "core/search/index.hpp"

namespace calm::search {

/// Texts to vectors of length 1 by a model (spec G, H.3), and who that model is.
class Encoder {
 public:
  /// Loads a model: `path` as load_model() takes it, `pooling` "mean" or "last". The session must
  /// outlive the encoder.
  Encoder(run::Runtime &runtime, run::Session &session, const std::string &path,
          const std::string &pooling);

  /// The sha256 is over names, shapes and values of the parameters and l_max: whatever decides a
  /// vector, and so the same for a model in a file, a folder or another format.
  const ModelInfo &info() const { return info_; }

  /// [texts, dimension].
  std::vector<float> embed(std::span<const std::string_view> texts);

 private:
  run::LoadedModel model_;
  std::unique_ptr<run::Embedder> embedder_;
  ModelInfo info_;
};

}  // namespace calm::search
