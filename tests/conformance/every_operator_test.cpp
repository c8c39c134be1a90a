#include <algorithm>
#include <cmath>

#include "core/ops/table.hpp"
#include "tests/conformance/examples.hpp"
#include "tests/conformance/harness.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(EveryOperator);

// NaN is equal to itself here: bits are compared, not numbers.
bool same_bits(const std::vector<Array> &a, const std::vector<Array> &b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Array &x, const Array &y) {
    return x.present == y.present && x.values.size() == y.values.size() &&
           std::equal(x.values.begin(), x.values.end(), y.values.begin(), [](double p, double q) {
             return (std::isnan(p) && std::isnan(q)) ||
                    (p == q && std::signbit(p) == std::signbit(q));
           });
  });
}

TEST(Backends, AreFound) { EXPECT_FALSE(targets().empty()) << "none in " << CALM_TEST_PLUGINS; }

TEST(Examples, CoverTheOperatorTable) {
  const std::vector<Case> all = examples();
  for (const ops::OperatorEntry &entry : ops::operators()) {
    EXPECT_TRUE(
        std::any_of(all.begin(), all.end(), [&](const Case &c) { return c.op == entry.id; }))
        << "add_example() of " << entry.id << " is missing in its test file";
  }
}

TEST_P(EveryOperator, GivesTheSameBitsWhenReplayed) {
  for (const Case &c : examples()) {
    PreparedCase prepared(device(), c);
    const std::vector<Array> first = prepared.run();
    EXPECT_TRUE(same_bits(first, prepared.run())) << c.op;
  }
}

TEST_P(EveryOperator, GivesTheSameBitsForAnyNumberOfThreads) {
  Device one(GetParam(), 1);
  Device four(GetParam(), 4);
  for (const Case &c : examples()) {
    const std::vector<Array> two = run(device(), c);
    EXPECT_TRUE(same_bits(two, run(one, c))) << c.op << " with 1 thread";
    EXPECT_TRUE(same_bits(two, run(four, c))) << c.op << " with 4 threads";
  }
}

TEST_P(EveryOperator, GivesTheSameBitsWhicheverOutputsAreAskedFor) {
  for (Case c : examples()) {
    const std::vector<Array> all = run(device(), c);
    for (std::uint32_t k = 0; k < all.size() && all.size() > 1; ++k) {
      c.only = {k};
      const std::vector<Array> got = run(device(), c);
      EXPECT_TRUE(same_bits({got[k]}, {all[k]})) << c.op << " with output " << k << " alone";
    }
  }
}

TEST_P(EveryOperator, WritesFiniteValues) {
  for (const Case &c : examples()) {
    for (const Array &out : run(device(), c)) {
      EXPECT_TRUE(std::all_of(out.values.begin(), out.values.end(), [](double x) {
        return std::isfinite(x);
      })) << c.op;
    }
  }
}

}  // namespace
}  // namespace calm::conformance
