#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/sequences.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(Pool);
CALM_ON_EVERY_F64_BACKEND(PoolGradient);

Case pool(const Ragged &batch, std::int64_t width, int mode) {
  return {"pool", {tokens(draw(1, {batch.rows(), width})), batch.offsets()}, {value("mode", mode)}};
}

TEST_P(Pool, TakesTheMeanOrTheLastRow) {
  const Array x = real({4, 2}, {1, 2, 3, 4, 5, 6, 100, 100});
  const Array offsets = i32({0, 2, 2, 3});
  expect_values(run(device(), {"pool", {x, offsets}})[0], {2, 3, 0, 0, 5, 6});
  expect_values(run(device(), {"pool", {x, offsets}, {value("mode", 1)}})[0], {3, 4, 0, 0, 5, 6});
}
CALM_COVERS(Pool, TakesTheMeanOrTheLastRow, kHand, "pool");

TEST_P(Pool, GradientGoesToTheRowsThatWerePooled) {
  Case c{"pool_grad", {real({4, 1}, {1, 3, 5, 100}), i32({0, 2, 2, 3}), real({3, 1}, {4, 9, 5})}};
  expect_values(run(device(), c)[0], {2, 2, 5, 0});
  c.attrs = {value("mode", 1)};
  expect_values(run(device(), c)[0], {0, 4, 5, 0});
}
CALM_COVERS(Pool, GradientGoesToTheRowsThatWerePooled, kHand, "pool_grad");

TEST_P(Pool, AgreesWithTheOracle) {
  for (const Ragged &batch : awkward_batches()) {
    for (const int mode : {0, 1}) {
      for (const std::int64_t width : {1, 3, 65}) {
        Case c = pool(batch, width, mode);
        expect_oracle(device(), c, oracle::pool);
        c.op = "pool_grad";
        c.ins.push_back(draw(2, {batch.sequences(), width}));
        expect_oracle(device(), c, oracle::pool_grad);
      }
    }
  }
}
CALM_COVERS(Pool, AgreesWithTheOracle, kOracle, "pool", "pool_grad");

TEST_P(PoolGradient, AgreesWithFiniteDifferences) {
  for (const Ragged &batch : awkward_batches()) {
    for (const int mode : {0, 1}) {
      expect_gradient(device(), pool(batch, 2, mode), oracle::pool, {0});
    }
  }
}
CALM_COVERS(PoolGradient, AgreesWithFiniteDifferences, kGradient, "pool");

TEST(PoolArguments, AreChecked) {
  const Array x = draw(1, {4, 3});
  expect_refused({"pool", {draw(1, {4}), i32({0, 4})}},
                 "x: expected an f32 or f64 tensor of rank 2, found f32[4]");
  expect_refused({"pool", {x, i32({0})}}, "offsets: expected i32 [sequences + 1], found i32[1]");
  expect_refused({"pool_grad", {x, i32({0, 1, 4}), draw(1, {3, 3})}},
                 "grad: expected f32[2, 3], found f32[3, 3]");
}
CALM_COVERS(PoolArguments, AreChecked, kRefused, "pool", "pool_grad");

}  // namespace
}  // namespace calm::conformance
