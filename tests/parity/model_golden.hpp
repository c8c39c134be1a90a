#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/data/batch.hpp"
#include "core/data/document.hpp"
#include "core/run/session.hpp"
#include "tests/parity/text_golden.hpp"

// Golden tensors of the reference implementation, with the tolerances index.json states for them.
namespace calm::golden {

struct Tolerance {
  double rtol = 0;
  double atol = 0;
};

/// |got - want| <= atol + rtol |want| everywhere; reports the worst element.
void expect_close(std::span<const float> got, std::span<const float> want, Tolerance tolerance,
                  const std::string &what);

/// A safetensors file of tests/parity/data.
class TensorFile {
 public:
  explicit TensorFile(const std::string &name);

  bool has(const std::string &tensor) const { return document_.tensor(tensor) != nullptr; }
  /// Names that end in `suffix`, without it.
  std::vector<std::string> with_suffix(std::string_view suffix) const;
  std::vector<std::int64_t> shape(const std::string &tensor) const;
  std::vector<float> reals(const std::string &tensor) const;
  std::vector<std::int32_t> integers(const std::string &tensor) const;
  Tolerance tolerance(const std::string &tensor) const;

  void expect(const std::string &tensor, std::span<const float> got) const;
  /// Rows of an integer matrix.
  std::vector<std::vector<std::int32_t>> rows(const std::string &tensor) const;

 private:
  std::string name_;
  data::Document document_;
  nlohmann::json tolerances_;
};

/// A test for each backend with a device.
class OnBackend : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override;
  run::Session &session() { return *session_; }

 private:
  std::unique_ptr<run::Session> session_;
};
std::vector<std::string> backends();

inline std::string backend_name(const testing::TestParamInfo<std::string> &backend) {
  return backend.param;
}

// The argument is the name of a class.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define CALM_PARITY_ON_EVERY_BACKEND(Suite)                                      \
  class Suite : public calm::golden::OnBackend {};                               \
  INSTANTIATE_TEST_SUITE_P(, Suite, testing::ValuesIn(calm::golden::backends()), \
                           calm::golden::backend_name)
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace calm::golden
