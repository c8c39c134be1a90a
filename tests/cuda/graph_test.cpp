// Programs as `compile` of the cuda backend sees them (cuda/graph.hpp).
#include <gtest/gtest.h>

#include <calm/cpp/error.hpp>
#include <calm/cpp/value.hpp>

#include <string>
#include <vector>

#include "cuda/graph.hpp"

namespace calm::cuda_test {
namespace {

/// Nothing but slots.
calm_program program_of(const std::vector<calm_slot> &slots) {
  static const std::vector<calm_tensor> tensors;
  static const std::vector<calm_node> nodes;
  static const std::vector<std::uint32_t> operands;
  static const std::vector<calm_value> attrs;
  calm_program program{};
  program.size = sizeof program;
  program.schema = 1;
  program.slots = table(slots);
  program.tensors = table(tensors);
  program.nodes = table(nodes);
  program.operands = table(operands);
  program.attrs = table(attrs);
  return program;
}

TEST(Inspect, FindsTheWorkspace) {
  const std::vector<calm_slot> slots = {
      {literal("input"), 0, 64, CALM_ROLE_INPUT, 0},
      {literal("workspace"), 0, 64, CALM_ROLE_TEMP, 1},
  };
  EXPECT_EQ(cuda::inspect(program_of(slots)).workspace, 1U);
}

TEST(Inspect, RefusesAProgramWithoutOne) {
  const std::vector<calm_slot> slots = {{literal("input"), 0, 64, CALM_ROLE_INPUT, 0}};
  try {
    cuda::inspect(program_of(slots));
    FAIL() << "nothing was thrown";
  } catch (const Error &e) {
    EXPECT_EQ(e.status(), CALM_INVALID_ARGUMENT);
    EXPECT_EQ(std::string(e.what()), "expected a slot that is a workspace, found none");
  }
}

}  // namespace
}  // namespace calm::cuda_test
