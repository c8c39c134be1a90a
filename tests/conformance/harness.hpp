#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/host.hpp"
#include "core/base/thread_pool.hpp"
#include "core/graph/graph.hpp"
#include "core/graph/params.hpp"
#include "core/run/session.hpp"
#include "tests/conformance/case.hpp"
#include "tests/conformance/coverage.hpp"
#include "tests/conformance/spaced.hpp"

// Runs cases on every backend found beside the tests (and on CALM_PLUGIN_PATH), in every real dtype
// it has. A backend joins by being a plugin there. CALM_TEST_BACKENDS="reference cuda" picks some;
// CALM_TEST_BACKEND_OPTIONS="simd=avx2 …" is what their sessions are opened with.
namespace calm::conformance {

struct Target {
  std::string backend;
  calm_dtype real;
};
void PrintTo(const Target &target, std::ostream *out);
/// The names in CALM_TEST_BACKENDS; none: every backend is tested.
std::vector<std::string> wanted_backends();
/// The options in CALM_TEST_BACKEND_OPTIONS.
run::BackendOptions wanted_options();
/// Roundoffs of f32 that one of a product's operands is off by: many where the wanted options make
/// a backend round them (precision=tf32, bf16), else one.
double operand_roundoffs();
/// Backends to test that have a usable device, times their dtypes.
std::vector<Target> targets();
/// Of the backends to test, those without a usable device, with the reason each gives.
std::vector<std::pair<std::string, std::string>> without_device();
/// Those with f64, where gradients are compared with finite differences.
std::vector<Target> f64_targets();
std::string target_name(const testing::TestParamInfo<Target> &info);

/// A session on the first device of a backend.
class Device {
 public:
  explicit Device(const Target &target, std::uint32_t threads = 2,
                  const run::BackendOptions &options = wanted_options());
  calm_dtype real() const { return target_.real; }
  run::Session &session() { return *session_; }

 private:
  Target target_;
  ThreadPool pool_;
  Host host_;
  std::unique_ptr<run::Session> session_;
};

/// Built-in operators, as graphs look them up.
graph::OperatorLookup operator_lookup();
calm_type type_of(const Array &array, calm_dtype real);

/// A graph's buffers and its compiled program, its tensors apart from each other (spaced.hpp).
/// Outputs, temporaries and what lies between tensors are filled with 0xff before each run; after
/// it the zones between tensors and the inputs must be as they were.
class Prepared {
 public:
  Prepared(Device &device, const graph::Graph &graph);
  ~Prepared();
  Prepared(const Prepared &) = delete;
  Prepared &operator=(const Prepared &) = delete;

  void set(graph::Slot slot, std::string_view name, const Array &array);
  void write(graph::Slot slot, std::uint64_t offset, calm_dtype dtype, const Array &array);
  run::StepBlock &step() { return step_; }
  void run();
  Array get(graph::Slot slot, std::string_view name) const;
  Array read(graph::Slot slot, std::uint64_t offset, const calm_type &type) const;

 private:
  std::vector<unsigned char> contents(std::uint32_t slot) const;
  void poison();
  void check_zones() const;
  run::Buffer &buffer(graph::Slot slot) { return buffers_[static_cast<std::size_t>(slot)]; }
  const run::Buffer &buffer(graph::Slot slot) const {
    return buffers_[static_cast<std::size_t>(slot)];
  }

  run::Session *session_;
  std::unique_ptr<graph::Program> plan_;
  SpacedProgram program_;
  run::StepBlock step_;
  std::array<run::Buffer, graph::kSlots> buffers_;
  std::array<std::vector<SpacedProgram::Range>, graph::kSlots> zones_;  // that keep what is in them
  calm_executable *executable_ = nullptr;
  calm_binding *binding_ = nullptr;
};

/// How scalar operands reach the operator.
enum class Scalars { kInputs, kStepValues };

/// A case as a program of one node.
class PreparedCase {
 public:
  PreparedCase(Device &device, const Case &c, Scalars scalars = Scalars::kInputs);
  /// Other contents from now on; shapes and attributes must be those of the case before.
  void change(const Case &c) { case_ = c; }
  /// Outputs in order; those not asked for are absent.
  std::vector<Array> run();

 private:
  bool is_step(std::size_t operand) const;
  const std::pair<std::uint32_t, std::uint32_t> *update_of(std::uint32_t index,
                                                           bool of_output) const;

  graph::ParamLayout layout_;
  Case case_;
  Scalars scalars_;
  std::uint32_t n_out_ = 0;
  std::unique_ptr<Prepared> prepared_;
};

/// A case in words: the operator, its operands' types and its scalars.
std::string describe_case(const Case &c);

/// Runs the case once.
std::vector<Array> run(Device &device, const Case &c);

/// Every element within the oracle's bound (tolerance.hpp).
void expect_within(const Array &got, const Tensor &want, const std::string &what);
/// Runs the case and compares all outputs.
void expect_oracle(Device &device, const Case &c, Oracle oracle);
/// Outputs equal these values to a few roundings of each, or of `magnitude` where numbers that
/// large cancel on the way.
void expect_values(const Array &got, const std::vector<double> &want, double magnitude = 0);

/// Differentiates sum(output * random weights), over the outputs in `outs`, by the operators listed
/// in `wrt`, and compares with finite differences of the oracle.
void expect_gradient(Device &device, const Case &c, Oracle oracle,
                     const std::vector<std::uint32_t> &wrt,
                     const std::vector<std::uint32_t> &outs = {0});

/// The case is refused when the graph is built, with `message` after the operator's name.
void expect_refused(const Case &c, const std::string &message);

class OnBackend : public testing::TestWithParam<Target> {
 protected:
  void SetUp() override { device_ = std::make_unique<Device>(GetParam()); }
  Device &device() { return *device_; }

 private:
  std::unique_ptr<Device> device_;
};

// The name of a class cannot stand in parentheses.
// NOLINTBEGIN(bugprone-macro-parentheses)
/// Names a suite of TEST_P that runs on every backend and dtype: on none where the only ones asked
/// for have no device (device_test.cpp says so).
#define CALM_ON_EVERY_BACKEND(Suite)                                                 \
  class Suite : public calm::conformance::OnBackend {};                              \
  GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Suite);                              \
  INSTANTIATE_TEST_SUITE_P(, Suite, testing::ValuesIn(calm::conformance::targets()), \
                           calm::conformance::target_name)
/// The same where f64 is needed.
#define CALM_ON_EVERY_F64_BACKEND(Suite)                                                 \
  class Suite : public calm::conformance::OnBackend {};                                  \
  GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Suite);                                  \
  INSTANTIATE_TEST_SUITE_P(, Suite, testing::ValuesIn(calm::conformance::f64_targets()), \
                           calm::conformance::target_name)
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace calm::conformance
