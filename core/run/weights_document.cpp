#include "core/run/weights_document.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include <calm/cpp/error.hpp>

namespace calm::run {

namespace {

bool same_shape(const calm_type &a, const calm_type &b) {
  return a.rank == b.rank && std::equal(a.shape, a.shape + a.rank, b.shape);
}

}  // namespace

void add_weights(data::Document &document, const Weights &weights, std::string_view prefix) {
  const auto &params = weights.layout().params();
  for (std::uint32_t i = 0; i < params.size(); ++i) {
    data::DocumentTensor tensor{std::string(prefix) + params[i].name, params[i].type, {}};
    tensor.type.dtype = CALM_F32;
    const std::span<const float> values = weights.of(i);
    const auto *bytes = reinterpret_cast<const unsigned char *>(values.data());
    tensor.bytes.assign(bytes, bytes + values.size_bytes());
    document.tensors.push_back(std::move(tensor));
  }
}

void take_weights(const data::Document &document, Weights &weights, const std::string &path,
                  std::string_view prefix) {
  const auto &params = weights.layout().params();
  for (std::uint32_t i = 0; i < params.size(); ++i) {
    const std::string name = std::string(prefix) + params[i].name;
    const data::DocumentTensor *tensor = document.tensor(name);
    calm_type expected = params[i].type;
    expected.dtype = CALM_F32;
    if (tensor == nullptr || tensor->type.dtype != CALM_F32 ||
        !same_shape(tensor->type, expected)) {
      throw Error(
          CALM_CORRUPT_DATA,
          fmt::format("{}: tensor {}: expected {}, found {}", path, name, describe(expected),
                      tensor == nullptr ? "none" : describe(tensor->type)));
    }
    const std::span<float> values = weights.of(i);
    if (tensor->bytes.size() != values.size_bytes()) {
      throw Error(CALM_CORRUPT_DATA,
                  fmt::format("{}: tensor {}: expected its numbers, found none", path, name));
    }
    std::memcpy(values.data(), tensor->bytes.data(), values.size_bytes());
    if (!std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); })) {
      throw Error(
          CALM_CORRUPT_DATA,
          fmt::format("{}: tensor {}: expected finite numbers, found one that is not", path, name));
    }
  }
}

namespace {

constexpr std::string_view kFisher = "ewc/fisher/";
constexpr std::string_view kAnchor = "ewc/theta_star/";

}  // namespace

void add_ewc(data::Document &document, const EwcWeights &ewc) {
  if (ewc) {
    add_weights(document, *ewc.fisher, kFisher);
    add_weights(document, *ewc.anchor, kAnchor);
  }
}

EwcWeights take_ewc(const data::Document &document, const graph::ParamLayout &layout,
                    const std::string &path) {
  EwcWeights ewc{std::make_unique<Weights>(layout), std::make_unique<Weights>(layout)};
  take_weights(document, *ewc.fisher, path, kFisher);
  take_weights(document, *ewc.anchor, path, kAnchor);
  return ewc;
}

}  // namespace calm::run
