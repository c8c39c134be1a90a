// Whole programs on a backend and on the reference: what single operators cannot show.
#include "tests/conformance/random_program.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

namespace calm::conformance {
namespace {

constexpr std::uint64_t kRuns = 2;
constexpr std::uint64_t kPrograms = 100;
/// Programs after those that once found something no earlier one did.
constexpr std::uint64_t kTelling[] = {998, 2215};
/// Of the largest number of a result. Some dozen well-conditioned operators stay far below it;
/// a row of another block, a sum that misses a part or memory of an earlier run do not. How exact
/// each operator is, its own test says.
constexpr double kOff = 1e-3;

using Results = std::vector<std::vector<Array>>;  // [run][result]

Results run(Device &device, std::uint64_t seed, Flavor flavor, std::vector<std::string> *names) {
  const RandomProgram program(seed, flavor, device.real());
  Prepared prepared(device, program.graph());
  Results results;
  for (std::uint64_t i = 0; i < kRuns; ++i) {
    program.fill(prepared, i);
    prepared.run();
    results.push_back(program.results(prepared, i));
  }
  *names = program.names();
  return results;
}

double largest(const Array &array) {
  double most = 0;
  for (const double x : array.values) {
    most = std::fmax(most, std::fabs(x));
  }
  return most;
}

void expect_near(const Array &got, const Array &want, const std::string &what) {
  ASSERT_EQ(got.shape, want.shape) << what;
  // Gradients may cancel: where they are 0, what is left is that of numbers of order one.
  const double off = kOff * (largest(want) + 0.02);
  for (std::size_t i = 0; i < want.values.size(); ++i) {
    ASSERT_LE(std::fabs(got.values[i] - want.values[i]), off)
        << what << " element " << i << " of " << want.values.size() << ": found " << got.values[i]
        << ", expected " << want.values[i];
  }
}

/// On every backend but the one the others are compared with.
std::vector<Target> compared() {
  std::vector<Target> all = targets();
  std::erase_if(all, [](const Target &t) { return t.backend == "reference"; });
  return all;
}

class RandomPrograms : public testing::TestWithParam<Target> {
 protected:
  void check(Flavor flavor) {
    if (operand_roundoffs() > 1) {
      GTEST_SKIP()
          << "products with rounded operands are far from the reference's in a long program";
    }
    std::vector<std::uint64_t> seeds(kPrograms);
    std::iota(seeds.begin(), seeds.end(), std::uint64_t{1});
    seeds.insert(seeds.end(), std::begin(kTelling), std::end(kTelling));
    for (const std::uint64_t seed : seeds) {
      std::vector<std::string> names;
      const Results want = run(exact_, seed, flavor, &names);
      const Results one = run(one_thread_, seed, flavor, &names);
      const Results four = run(four_threads_, seed, flavor, &names);
      for (std::uint64_t i = 0; i < kRuns; ++i) {
        for (std::size_t k = 0; k < names.size(); ++k) {
          const std::string what =
              "program " + std::to_string(seed) + ", run " + std::to_string(i) + ", " + names[k];
          expect_near(one[i][k], want[i][k], what);
          EXPECT_EQ(one[i][k].values, four[i][k].values) << what << ": bits depend on threads";
        }
      }
      if (HasFailure()) {
        return;
      }
    }
  }

 private:
  Device exact_{{"reference", CALM_F64}, 2, {}};
  Device one_thread_{GetParam(), 1};
  Device four_threads_{GetParam(), 4};
};

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RandomPrograms);
INSTANTIATE_TEST_SUITE_P(, RandomPrograms, testing::ValuesIn(compared()), target_name);

TEST_P(RandomPrograms, GiveTheReferencesResults) { check(Flavor::kForward); }
TEST_P(RandomPrograms, WithStatesGiveTheReferencesResults) { check(Flavor::kStates); }
TEST_P(RandomPrograms, GiveTheReferencesGradients) { check(Flavor::kGradient); }

}  // namespace
}  // namespace calm::conformance
