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

TEST(Backends, AreFound) {
  const std::vector<Target> found = targets();
  EXPECT_FALSE(found.empty()) << "none in " << CALM_TEST_PLUGINS;
  for (const std::string &wanted : wanted_backends()) {
    EXPECT_TRUE(std::any_of(found.begin(), found.end(),
                            [&](const Target &t) { return t.backend == wanted; }))
        << "no usable backend " << wanted;
  }
}

TEST(Examples, CoverTheOperatorTable) {
  const std::vector<Case> all = examples();
  for (const ops::OperatorEntry &entry : ops::operators()) {
    EXPECT_TRUE(
        std::any_of(all.begin(), all.end(), [&](const Case &c) { return c.op == entry.id; }))
        << "add_example() of " << entry.id << " is missing in its test file";
  }
}

TEST_P(EveryOperator, GivesTheSameBitsWhenReplayedAHundredTimes) {
  for (const Case &c : examples()) {
    PreparedCase prepared(device(), c);
    const std::vector<Array> first = prepared.run();
    for (int i = 1; i < 100; ++i) {
      ASSERT_TRUE(same_bits(first, prepared.run())) << c.op << ", replay " << i;
    }
  }
}

// The example with other contents of the same shapes: values in another order, sequences of other
// lengths, other scalars.
Case changed(Case c) {
  const Array *offsets = nullptr;
  for (const Array &in : c.ins) {
    offsets =
        in.present && in.dtype == CALM_I32 && in.shape.size() == 1 && in.axis0 != CALM_AXIS_TOKENS
            ? &in
            : offsets;
  }
  const double live = offsets == nullptr ? 0 : offsets->values.back();
  for (Array &in : c.ins) {
    if (!in.present) {
      continue;
    }
    if (&in == offsets) {
      std::reverse(in.values.begin(), in.values.end());
      for (double &x : in.values) {
        x = live - x;
      }
    } else if (in.shape.empty()) {
      in.values[0] = in.dtype == kReal   ? in.values[0] / 2
                     : in.values[0] == 1 ? 0
                                         : in.values[0] + 1;
    } else {
      // Dead rows stay where they are.
      const bool ragged = in.axis0 == CALM_AXIS_TOKENS && offsets != nullptr;
      const std::size_t width = in.values.size() / static_cast<std::size_t>(in.shape[0]);
      const std::size_t count = ragged ? static_cast<std::size_t>(live) * width : in.values.size();
      std::reverse(in.values.begin(), in.values.begin() + static_cast<std::ptrdiff_t>(count));
      if (in.dtype == kReal) {
        in.values[0] *= 2;  // sums are blind to order
      }
    }
  }
  return c;
}

// What a captured graph or a recorded command buffer must not freeze.
TEST_P(EveryOperator, SeesNewContentsAndStepValuesWithoutBindingAgain) {
  for (const Case &c : examples()) {
    const Case other = changed(c);
    const std::vector<Array> want = run(device(), c);
    const std::vector<Array> want_other = run(device(), other);
    EXPECT_TRUE(c.op == "fill" || !same_bits(want, want_other)) << c.op << ": nothing changed";
    for (const Scalars scalars : {Scalars::kInputs, Scalars::kStepValues}) {
      PreparedCase prepared(device(), c, scalars);
      EXPECT_TRUE(same_bits(prepared.run(), want)) << c.op;
      prepared.change(other);
      EXPECT_TRUE(same_bits(prepared.run(), want_other)) << c.op << " with new contents";
      prepared.change(c);
      EXPECT_TRUE(same_bits(prepared.run(), want)) << c.op << " with the first contents again";
    }
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
