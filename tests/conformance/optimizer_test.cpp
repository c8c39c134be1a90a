#include <limits>

#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/optimizer.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(Optimizer);

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Case adamw(std::int64_t n, double coefficient, double go) {
  return {"adamw",
          {draw(1, {n}), draw(2, {n}), draw(3, {n}), draw(4, {n}, 0, 1), real(0.125), real(0.25),
           real(0.0625), real(coefficient), scalar_i32(go)},
          {value("beta1", 0.9), value("beta2", 0.999), value("eps", 1e-8),
           value("weight_decay", 0.01)}};
}

TEST_P(Optimizer, AccumulateAddsButTheFirstTime) {
  const Array sum = real({2}, {1, 2});
  const Array x = real({2}, {10, 20});
  expect_values(run(device(), {"accumulate", {sum, x, scalar_i32(0.0)}})[0], {11, 22});
  expect_values(run(device(), {"accumulate", {sum, x, scalar_i32(1.0)}})[0], {10, 20});
}
CALM_COVERS(Optimizer, AccumulateAddsButTheFirstTime, kHand, "accumulate");

TEST_P(Optimizer, TheFirstMicroBatchNeverReadsTheOldSum) {
  Case c{"accumulate", {real({2}, {kNan, kNan}), real({2}, {10, 20}), scalar_i32(1.0)}};
  c.updates = {{0, 0}};
  expect_values(run(device(), c)[0], {10, 20});
}

TEST_P(Optimizer, AccumulateAgreesWithTheOracle) {
  for (const Shape &shape : {Shape{}, Shape{1}, Shape{63}, Shape{5, 129}}) {
    for (const double first : {0.0, 1.0}) {
      Case c{"accumulate", {draw(1, shape), draw(2, shape), scalar_i32(first)}};
      expect_oracle(device(), c, oracle::accumulate);
      c.updates = {{0, 0}};
      expect_oracle(device(), c, oracle::accumulate);
    }
  }
}
CALM_COVERS(Optimizer, AccumulateAgreesWithTheOracle, kOracle, "accumulate");

TEST_P(Optimizer, GlobalNormClipsOnlyLongGradients) {
  const Array x = real({2}, {3, 0});
  const Array y = real({1, 1}, {4});
  std::vector<Array> got = run(device(), {"global_norm", {x, y}, {value("max_norm", 1.0)}});
  expect_values(got[0], {5});
  expect_values(got[1], {1 / (5 + 1e-6)});
  EXPECT_EQ(got[2].values, std::vector<double>{1});
  got = run(device(), {"global_norm", {x, y}, {value("max_norm", 100.0)}});
  expect_values(got[1], {1});
  got = run(device(), {"global_norm", {x, y}, {value("max_norm", 0.0)}});
  expect_values(got[1], {0});
}
CALM_COVERS(Optimizer, GlobalNormClipsOnlyLongGradients, kHand, "global_norm");

TEST_P(Optimizer, GlobalNormSeesWhatIsNotFinite) {
  for (const double bad : {kNan, std::numeric_limits<double>::infinity()}) {
    const Case c{"global_norm", {real({3}, {1, bad, 1})}, {value("max_norm", 1.0)}};
    EXPECT_EQ(run(device(), c)[2].values, std::vector<double>{0});
  }
}

TEST_P(Optimizer, GlobalNormAgreesWithTheOracle) {
  for (const double max_norm : {0.5, 1000.0}) {
    Case c{"global_norm", {}, {value("max_norm", max_norm)}};
    for (const Shape &shape : {Shape{1}, Shape{63}, Shape{5, 129}, Shape{}, Shape{3}, Shape{64},
                               Shape{7, 7}, Shape{65}}) {
      c.ins.push_back(draw(c.ins.size(), shape));
      expect_oracle(device(), c, oracle::global_norm);
    }
  }
  const Case zero{"global_norm", {real({2}, {0, 0})}, {value("max_norm", 1.0)}};
  expect_oracle(device(), zero, oracle::global_norm);
}
CALM_COVERS(Optimizer, GlobalNormAgreesWithTheOracle, kOracle, "global_norm");

TEST_P(Optimizer, GlobalNormIsAccurateOverManyElements) {
  const Case c{"global_norm", {draw(1, {200000}, 1, 2)}, {value("max_norm", 1.0)}};
  const double want = oracle::global_norm(c)[0].values[0].v;
  EXPECT_NEAR(run(device(), c)[0].values[0], want,
              allowed(CALM_F64, 200000 * want) + allowed(device().real(), want));
}

TEST_P(Optimizer, GuardIsStickyAfterThreeRefusalsInARow) {
  const auto guard = [&](double ok, double bad) {
    const std::vector<Array> got = run(device(), {"guard", {scalar_i32(ok), scalar_i32(bad)}});
    return std::pair(got[0].values[0], got[1].values[0]);
  };
  EXPECT_EQ(guard(1, 0), std::pair(1.0, 0.0));
  EXPECT_EQ(guard(0, 0), std::pair(0.0, 1.0));
  EXPECT_EQ(guard(0, 1), std::pair(0.0, 2.0));
  EXPECT_EQ(guard(1, 2), std::pair(1.0, 0.0));
  EXPECT_EQ(guard(0, 2), std::pair(0.0, 3.0));
  EXPECT_EQ(guard(1, 3), std::pair(0.0, 3.0));
  EXPECT_EQ(guard(0, 3), std::pair(0.0, 3.0));
}
CALM_COVERS(Optimizer, GuardIsStickyAfterThreeRefusalsInARow, kHand, "guard");

TEST_P(Optimizer, GuardAgreesWithTheOracle) {
  for (const double ok : {0.0, 1.0}) {
    for (const double bad : {0.0, 1.0, 2.0, 3.0, 7.0}) {
      expect_oracle(device(), {"guard", {scalar_i32(ok), scalar_i32(bad)}}, oracle::guard);
    }
  }
}
CALM_COVERS(Optimizer, GuardAgreesWithTheOracle, kOracle, "guard");

TEST_P(Optimizer, GuardUpdatesItsCounterInPlace) {
  Case c{"guard", {scalar_i32(0.0), scalar_i32(2.0)}};
  c.updates = {{1, 1}};
  const std::vector<Array> got = run(device(), c);
  EXPECT_EQ(got[0].values[0], 0);
  EXPECT_EQ(got[1].values[0], 3);
}

TEST_P(Optimizer, AdamwTakesAStep) {
  const Case c{"adamw",
               {real({1}, {1}), real({1}, {2}), real({1}, {0.5}), real({1}, {0.25}), real(0.125),
                real(0.5), real(0.25), real(1), scalar_i32(1.0)},
               {value("weight_decay", 0.5)}};
  const double v = 0.999 * 0.25 + 0.001 * 4;
  const double m = 0.9 * 0.5 + 0.1 * 2;
  const std::vector<Array> got = run(device(), c);
  expect_values(got[0], {1 - 0.125 * 0.5 - 0.125 / 0.5 * m / (std::sqrt(v) / 0.5 + 1e-8)});
  expect_values(got[1], {m});
  expect_values(got[2], {v});
}
CALM_COVERS(Optimizer, AdamwTakesAStep, kHand, "adamw");

TEST_P(Optimizer, AdamwAgreesWithTheOracle) {
  for (const std::int64_t n : {1, 2, 3, 5, 7, 17, 63, 64, 65, 129, 5000}) {
    for (const double coefficient : {1.0, 0.375}) {
      Case c = adamw(n, coefficient, 1);
      expect_oracle(device(), c, oracle::adamw);
      c.updates = {{0, 0}, {1, 2}, {2, 3}};
      expect_oracle(device(), c, oracle::adamw);
    }
  }
}
CALM_COVERS(Optimizer, AdamwAgreesWithTheOracle, kOracle, "adamw");

TEST_P(Optimizer, AdamwLeavesEverythingWhenToldNotToGo) {
  Case c = adamw(65, 0.5, 0);
  c.ins[1].values[3] = kNan;
  c.ins[7].values[0] = kNan;
  for (const bool in_place : {false, true}) {
    c.updates.clear();
    if (in_place) {
      c.updates = {{0, 0}, {1, 2}, {2, 3}};
    }
    const std::vector<Array> got = run(device(), c);
    EXPECT_EQ(got[0].values, c.ins[0].values);
    EXPECT_EQ(got[1].values, c.ins[2].values);
    EXPECT_EQ(got[2].values, c.ins[3].values);
  }
}

TEST_P(Optimizer, AdamwKeepsPaddingZero) {
  Case c = adamw(3, 1, 1);
  for (const std::size_t i : {0u, 1u, 2u, 3u}) {
    c.ins[i].values = {0, 0, 0};
  }
  for (const Array &out : run(device(), c)) {
    EXPECT_EQ(out.values, (std::vector<double>{0, 0, 0}));
  }
}

TEST_P(Optimizer, RecordWritesOneRowOfTheRing) {
  Case c{"record", {real({3, 2}, {1, 2, 3, 4, 5, 6}), scalar_i32(7.0), real(0.5), scalar_i32(9.0)}};
  expect_values(run(device(), c)[0], {1, 2, 0.5, 9, 5, 6});
  c.updates = {{0, 0}};
  expect_values(run(device(), c)[0], {1, 2, 0.5, 9, 5, 6});
}
CALM_COVERS(Optimizer, RecordWritesOneRowOfTheRing, kHand, "record");

TEST_P(Optimizer, RecordAgreesWithTheOracle) {
  for (const std::int64_t rows : {1, 2, 3, 64}) {
    for (const std::int64_t columns : {1, 2, 3, 6}) {
      for (const double row : {0.0, 1.0, 63.0, 64.0, 1000001.0}) {
        Case c{"record", {draw(1, {rows, columns}), scalar_i32(row)}};
        for (std::int64_t i = 0; i < columns; ++i) {
          const double x = static_cast<double>(i) + 0.5;
          c.ins.push_back(i % 2 == 0 ? real(x) : scalar_i32(std::floor(x)));
        }
        expect_oracle(device(), c, oracle::record);
        c.updates = {{0, 0}};
        expect_oracle(device(), c, oracle::record);
      }
    }
  }
}
CALM_COVERS(Optimizer, RecordAgreesWithTheOracle, kOracle, "record");

TEST(OptimizerArguments, AreChecked) {
  const Array x = draw(1, {3});
  expect_refused({"accumulate", {x, draw(1, {2}), scalar_i32(0.0)}},
                 "value: expected f32[3], found f32[2]");
  expect_refused({"accumulate", {x, x, i32({0})}}, "first: expected i32[], found i32[1]");
  expect_refused({"global_norm", {x, i32({1})}, {value("max_norm", 1.0)}},
                 "x1: expected an f32 or f64 tensor, found i32[1]");
  expect_refused({"global_norm", {x}}, "attribute max_norm is missing");
  expect_refused({"guard", {real(1), scalar_i32(0.0)}}, "ok: expected i32[], found f32[]");
  expect_refused({"guard", {scalar_i32(1.0), x}}, "bad: expected i32[], found f32[3]");
  expect_refused({"record", {draw(1, {3, 2}), scalar_i32(0.0), real(1)}},
                 "ring: expected f32[3, 1], found f32[3, 2]");
  expect_refused({"record", {draw(1, {3, 1}), scalar_i32(0.0), x}},
                 "value0: expected f32[] or i32[], found f32[3]");
  expect_refused({"record", {draw(1, {3, 1}), real(0), real(1)}},
                 "row: expected i32[], found f32[]");
  const char *const names[] = {"param", "grad", "m", "v", "lr", "bias1", "bias2", "coefficient"};
  for (std::size_t i = 1; i < std::size(names); ++i) {
    Case c = adamw(3, 1, 1);
    c.ins[i] = draw(1, {2});
    expect_refused(
        c, std::string(names[i]) + ": expected " + (i < 4 ? "f32[3]" : "f32[]") + ", found f32[2]");
  }
  Case c = adamw(3, 1, 1);
  c.ins[8] = real(1);
  expect_refused(c, "go: expected i32[], found f32[]");
}
CALM_COVERS(OptimizerArguments, AreChecked, kRefused, "accumulate", "global_norm", "guard", "adamw",
            "record");

}  // namespace
}  // namespace calm::conformance
