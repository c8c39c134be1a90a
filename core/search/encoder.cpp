#include "core/search/encoder.hpp"

#include <filesystem>
#include <system_error>

#include <calm/cpp/value.hpp>

#include "core/base/digest.hpp"

namespace calm::search {
namespace {

std::string identity(const run::LoadedModel &loaded) {
  Sha256 sum;
  const auto number = [&sum](std::int64_t n) { sum.add(&n, sizeof n); };
  number(loaded.model->l_max());
  const std::vector<graph::Param> &params = loaded.model->layout().params();
  for (std::uint32_t i = 0; i < params.size(); ++i) {
    const graph::Param &param = params[i];
    number(static_cast<std::int64_t>(param.name.size()));
    sum.add(param.name.data(), param.name.size());
    number(param.type.rank);
    sum.add(param.type.shape, param.type.rank * sizeof param.type.shape[0]);
    const std::span<const float> values = std::as_const(*loaded.weights).of(i);
    sum.add(values.data(), values.size_bytes());
  }
  return sum.hex();
}

std::string absolute(const std::string &path) {
  std::error_code error;
  const std::filesystem::path full = std::filesystem::absolute(path, error);
  return error ? path : full.lexically_normal().string();
}

}  // namespace

Encoder::Encoder(run::Runtime &runtime, run::Session &session, const std::string &path,
                 const std::string &pooling)
    : model_(run::load_model(runtime, path)) {
  run::Embedder::Options options;
  options.pool = pooling == "last" ? run::Embedder::Pool::kLast : run::Embedder::Pool::kMean;
  embedder_ = std::make_unique<run::Embedder>(session, *model_.model, *model_.weights, options);
  info_ = {identity(model_), absolute(path), embedder_->dimension(), pooling};
}

std::vector<float> Encoder::embed(std::span<const std::string_view> texts) {
  std::vector<std::vector<std::int32_t>> sequences;
  sequences.reserve(texts.size());
  for (const std::string_view text : texts) {
    sequences.push_back(run::text_tokens(text, model_.model->l_max()));
  }
  return embedder_->embed(sequences);
}

}  // namespace calm::search
