#include <array>

#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/sequences.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(SelectiveScan);
CALM_ON_EVERY_F64_BACKEND(SelectiveScanGradient);

Case scan(const Ragged &batch, std::int64_t channels, std::int64_t states, bool state) {
  const std::int64_t rows = batch.rows();
  Case c{"selective_scan",
         {tokens(draw(1, {rows, channels})), tokens(draw(2, {rows, channels}, 0.01, 1)),
          draw(3, {channels, states}, -3, -0.1), tokens(draw(4, {rows, states})),
          tokens(draw(5, {rows, states})), draw(6, {channels}), batch.offsets()}};
  if (state) {
    c.ins.push_back(draw(7, {batch.sequences(), channels, states}));
    c.ins.back().axis0 = CALM_AXIS_SEQUENCES;
  }
  return c;
}

// The backward operator with bounds as the forward one gives them; where those are undefined,
// values that must not be used.
Case scan_grad(const Ragged &batch, std::int64_t channels, std::int64_t states) {
  Case c = scan(batch, channels, states, false);
  Tensor bounds = oracle::selective_scan(c)[1];
  for (Tracked &h : bounds.values) {
    h = std::isinf(h.e) ? Tracked(1e6) : h;
  }
  c.op = "selective_scan_grad";
  c.ins.push_back(array(bounds));
  c.ins.back().axis0 = CALM_AXIS_CHUNKS;
  c.ins.push_back(draw_grad(8, batch, channels));
  return c;
}

Case two_rows() {
  return {"selective_scan",
          {real({2, 1}, {1, 2}), real({2, 1}, {1, 0.5}), real({1, 1}, {-1}), real({2, 1}, {1, 0.5}),
           real({2, 1}, {2, -1}), real({1}, {3}), i32({0, 2})}};
}

TEST_P(SelectiveScan, FollowsTheRecurrence) {
  const std::vector<Array> got = run(device(), two_rows());
  expect_values(got[0], {5, 4.893469340287367});
  expect_values(got[2], {1.1065306597126334});
}
CALM_COVERS(SelectiveScan, FollowsTheRecurrence, kHand, "selective_scan");

TEST_P(SelectiveScan, SendsGradientsBackThroughTheRecurrence) {
  Case c = two_rows();
  c.op = "selective_scan_grad";
  c.ins.push_back(real({1, 1, 1}, {0}));  // the sequence begins here
  c.ins.push_back(real({2, 1}, {1, 1}));
  const std::vector<Array> got = run(device(), c);
  expect_values(got[0], {4.393469340287367, 2.75});                     // x
  expect_values(got[1], {1.3934693402873666, -0.3934693402873666}, 1);  // delta
  expect_values(got[2], {-0.3032653298563167});                         // a
  expect_values(got[3], {1.3934693402873666, -1}, 2);                   // b
  expect_values(got[4], {1, 1.1065306597126334});                       // c
  expect_values(got[5], {3});                                           // d
}
CALM_COVERS(SelectiveScan, SendsGradientsBackThroughTheRecurrence, kHand, "selective_scan_grad");

TEST_P(SelectiveScan, ContinuesFromAState) {
  Case c = two_rows();
  c.ins.push_back(real({1, 1, 1}, {4}));
  const std::vector<Array> got = run(device(), c);
  expect_values(got[0], {7.943035529371539, 4.000948699693647});
  expect_values(got[2], {1.9990513003063528});
}

TEST_P(SelectiveScan, AgreesWithTheOracle) {
  for (const Ragged &batch : awkward_batches()) {
    for (const auto &[channels, states] :
         std::vector<std::array<std::int64_t, 2>>{{1, 1}, {3, 5}, {17, 2}, {8, 16}, {33, 12}}) {
      expect_oracle(device(), scan(batch, channels, states, false), oracle::selective_scan);
      expect_oracle(device(), scan(batch, channels, states, true), oracle::selective_scan);
      expect_oracle(device(), scan_grad(batch, channels, states), oracle::selective_scan_grad);
    }
  }
}
CALM_COVERS(SelectiveScan, AgreesWithTheOracle, kOracle, "selective_scan", "selective_scan_grad");

TEST_P(SelectiveScan, StateMayBeUpdatedInPlace) {
  for (const Ragged &batch : awkward_batches()) {
    Case c = scan(batch, 17, 16, true);
    c.updates = {{2, 7}};
    expect_oracle(device(), c, oracle::selective_scan);
  }
}

TEST_P(SelectiveScan, TwoPartsWithCarriedStateEqualOnePass) {
  const Case c = scan({{130}}, 3, 4, false);
  const std::vector<Array> once = run(device(), c);
  const auto part = [&](std::int64_t begin, std::int64_t end, const Array *state) {
    Case half = scan({{end - begin}}, 3, 4, false);
    for (const std::size_t i : {0u, 1u, 3u, 4u}) {
      const std::int64_t width = c.ins[i].shape[1];
      half.ins[i].values.assign(c.ins[i].values.begin() + begin * width,
                                c.ins[i].values.begin() + end * width);
    }
    if (state != nullptr) {
      half.ins.push_back(*state);
    }
    return run(device(), half);
  };
  const std::vector<Array> first = part(0, 65, nullptr);
  const std::vector<Array> second = part(65, 130, &first[2]);
  std::vector<double> rows = first[0].values;
  rows.insert(rows.end(), second[0].values.begin(), second[0].values.end());
  const Tensor want = oracle::selective_scan(c)[0];
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_NEAR(rows[i], once[0].values[i], allowed(device().real(), want.values[i].e));
  }
}

TEST_P(SelectiveScanGradient, AgreesWithFiniteDifferences) {
  for (const Ragged &batch : awkward_batches()) {
    expect_gradient(device(), scan(batch, 2, 2, false), oracle::selective_scan, {0, 1, 2, 3, 4, 5});
  }
}
CALM_COVERS(SelectiveScanGradient, AgreesWithFiniteDifferences, kGradient, "selective_scan");

TEST(SelectiveScanArguments, AreChecked) {
  const Case good = scan({{3, 1}}, 3, 2, true);
  const auto with = [&](std::size_t i, const Array &array) {
    Case c = good;
    c.ins[i] = array;
    return c;
  };
  expect_refused(with(0, draw(1, {4})), "x: expected an f32 or f64 tensor of rank 2, found f32[4]");
  expect_refused(with(1, draw(1, {4, 2})), "delta: expected f32[4, 3], found f32[4, 2]");
  expect_refused(with(2, draw(1, {2, 2})), "a: expected f32[3, 2], found f32[2, 2]");
  expect_refused(with(3, draw(1, {4, 3})), "b: expected f32[4, 2], found f32[4, 3]");
  expect_refused(with(4, draw(1, {3, 2})), "c: expected f32[4, 2], found f32[3, 2]");
  expect_refused(with(5, draw(1, {2})), "d: expected f32[3], found f32[2]");
  expect_refused(with(6, draw(1, {3})), "offsets: expected i32 [sequences + 1], found f32[3]");
  expect_refused(with(7, draw(1, {3, 3, 2})),
                 "state_in: expected f32[2, 3, 2], found f32[3, 3, 2]");
  Case grad = scan_grad({{3, 1}}, 3, 2);
  grad.ins[7] = draw(1, {2, 3, 2});
  expect_refused(grad, "bounds: expected f32[1, 3, 2], found f32[2, 3, 2]");
  grad = scan_grad({{3, 1}}, 3, 2);
  grad.ins[8] = draw(1, {4, 2});
  expect_refused(grad, "grad: expected f32[4, 3], found f32[4, 2]");
}
CALM_COVERS(SelectiveScanArguments, AreChecked, kRefused, "selective_scan", "selective_scan_grad");

}  // namespace
}  // namespace calm::conformance
