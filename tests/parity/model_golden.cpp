#include "tests/parity/model_golden.hpp"

#include <cmath>

#include <calm/cpp/error.hpp>

#include "tests/core/model_fixture.hpp"

namespace calm::golden {

void expect_close(std::span<const float> got, std::span<const float> want, Tolerance tolerance,
                  const std::string &what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double worst = 0;  // as a fraction of what is allowed
  std::size_t at = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto expected = static_cast<double>(want[i]);
    const double error = std::abs(static_cast<double>(got[i]) - expected);
    const double fraction = error / (tolerance.atol + tolerance.rtol * std::abs(expected));
    if (!(fraction <= worst)) {  // NaN is the worst
      worst = fraction;
      at = i;
    }
    if (std::isnan(worst)) {
      break;
    }
  }
  EXPECT_LE(worst, 1.0) << what << ": element " << at << " is " << got[at] << ", expected "
                        << want[at] << " within rtol " << tolerance.rtol << ", atol "
                        << tolerance.atol;
}

TensorFile::TensorFile(const std::string &name)
    : name_(name), document_(data::read_document(model_test::runtime(), path(name))) {
  for (const nlohmann::json &file : json("index.json", "files")) {
    if (file.at("path") == name && file.contains("tensors")) {
      for (const nlohmann::json &tensor : file.at("tensors")) {
        tolerances_[tensor.at("name").get<std::string>()] = tensor.at("tolerance");
      }
    }
  }
}

std::vector<std::string> TensorFile::with_suffix(std::string_view suffix) const {
  std::vector<std::string> names;
  for (const data::DocumentTensor &tensor : document_.tensors) {
    if (tensor.name.ends_with(suffix)) {
      names.push_back(tensor.name.substr(0, tensor.name.size() - suffix.size()));
    }
  }
  return names;
}

std::vector<std::int64_t> TensorFile::shape(const std::string &tensor) const {
  const calm_type &type = document_.need(tensor).type;
  return {type.shape, type.shape + type.rank};
}

std::vector<float> TensorFile::reals(const std::string &tensor) const {
  return document_.need(tensor).as<float>();
}

std::vector<std::int32_t> TensorFile::integers(const std::string &tensor) const {
  return document_.need(tensor).as<std::int32_t>();
}

Tolerance TensorFile::tolerance(const std::string &tensor) const {
  const nlohmann::json &t = tolerances_.at(tensor);
  return {t.at("rtol").get<double>(), t.at("atol").get<double>()};
}

void TensorFile::expect(const std::string &tensor, std::span<const float> got) const {
  expect_close(got, reals(tensor), tolerance(tensor), name_ + " " + tensor);
}

std::vector<std::vector<std::int32_t>> TensorFile::rows(const std::string &tensor) const {
  const std::vector<std::int32_t> flat = integers(tensor);
  const std::vector<std::int64_t> extents = shape(tensor);
  std::vector<std::vector<std::int32_t>> result;
  for (std::int64_t r = 0; r < extents.at(0); ++r) {
    const auto begin = flat.begin() + r * extents.at(1);
    result.emplace_back(begin, begin + extents[1]);
  }
  return result;
}

void OnBackend::SetUp() { session_ = model_test::runtime().open(GetParam(), CALM_WORKLOAD_TRAIN); }

std::vector<std::string> backends() {
  std::vector<std::string> usable;
  for (const std::string &id : model_test::runtime().plugins().ids("backend")) {
    const calm_backend &backend = model_test::runtime().plugins().backend(id);
    std::uint32_t devices = 0;
    calm_error error{};
    if (backend.devices(&devices, &error) == CALM_OK && devices > 0) {
      usable.push_back(id);
    }
  }
  return usable;
}

}  // namespace calm::golden
