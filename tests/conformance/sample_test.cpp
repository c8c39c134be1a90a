#include <cmath>

#include "tests/conformance/harness.hpp"
#include "tests/conformance/oracle/draws.hpp"

namespace calm::conformance {
namespace {

CALM_ON_EVERY_BACKEND(Sample);

struct Filters {
  double temperature = 1;
  double top_k = 0;
  double top_p = 0;
  double min_p = 0;
};

// `draws` empty: Philox.
Case sampled(const Array &logits, const Filters &filters, const std::vector<double> &draws = {}) {
  Case c{"sample",
         {logits, real(filters.temperature), scalar_i32(filters.top_k), real(filters.top_p),
          real(filters.min_p), scalar_i64(42), scalar_i32(5.0)}};
  if (!draws.empty()) {
    c.ins.push_back(real({logits.shape[0]}, draws));
  }
  return c;
}

// Logits of these probabilities.
Array logs(const std::vector<double> &p) {
  Array out = real({1, static_cast<std::int64_t>(p.size())}, {});
  for (const double x : p) {
    out.values.push_back(std::log(x));
  }
  return out;
}

double chosen(Device &device, const Array &logits, const Filters &filters, double u) {
  return run(device, sampled(logits, filters, {u}))[0].values[0];
}

TEST_P(Sample, IsGreedyWithoutTemperatureOrWithoutFilters) {
  const Array logits = real({2, 3}, {1, 3, 2, 5, 5, 4});
  for (const Filters &filters :
       {Filters{0, 5, 0.5, 0.1}, Filters{-1, 2, 0, 0}, Filters{1, 0, 0, 0}}) {
    const std::vector<Array> got = run(device(), sampled(logits, filters, {0.99, 0.99}));
    EXPECT_EQ(got[0].values, (std::vector<double>{1, 0}));  // ties: the lowest id
  }
}

TEST_P(Sample, ScoresTheUnfilteredDistribution) {
  const Array logits = real({1, 3}, {0, 1, 2});
  const double cold = -std::log(std::exp(-4.0) + std::exp(-2.0) + 1);
  expect_values(run(device(), sampled(logits, {0.5, 1, 0, 0}, {0}))[1], {cold}, 4);
  const double plain = -std::log(std::exp(-2.0) + std::exp(-1.0) + 1);
  expect_values(run(device(), sampled(logits, {0, 1, 0, 0}, {0}))[1], {plain}, 2);
}

TEST_P(Sample, WalksTheProbabilitiesInIdOrder) {
  const Array logits = logs({0.25, 0.5, 0.25});
  const Filters all{1, 3, 0, 0};
  EXPECT_EQ(chosen(device(), logits, all, 0), 0);
  EXPECT_EQ(chosen(device(), logits, all, 0.24), 0);
  EXPECT_EQ(chosen(device(), logits, all, 0.26), 1);
  EXPECT_EQ(chosen(device(), logits, all, 0.74), 1);
  EXPECT_EQ(chosen(device(), logits, all, 0.76), 2);
  EXPECT_EQ(chosen(device(), logits, all, 1 - 0x1p-24), 2);
}
CALM_COVERS(Sample, WalksTheProbabilitiesInIdOrder, kHand, "sample");

TEST_P(Sample, TopKKeepsTiesAtTheCutoff) {
  const Array logits = logs({0.25, 0.125, 0.25, 0.375});
  EXPECT_EQ(chosen(device(), logits, {1, 1, 0, 0}, 0), 3);
  EXPECT_EQ(chosen(device(), logits, {1, 2, 0, 0}, 0), 0);
  EXPECT_EQ(chosen(device(), logits, {1, 2, 0, 0}, 0.5), 2);
  EXPECT_EQ(chosen(device(), logits, {1, 2, 0, 0}, 0.99), 3);
  EXPECT_EQ(chosen(device(), logits, {1, 100, 0, 0}, 0.3), 1);
}

TEST_P(Sample, MinPIsRelativeToTheLargest) {
  const Array logits = logs({0.0625, 0.5, 0.3125, 0.125});
  EXPECT_EQ(chosen(device(), logits, {1, 0, 0, 0.375}, 0), 1);
  EXPECT_EQ(chosen(device(), logits, {1, 0, 0, 0.375}, 0.99), 2);
  EXPECT_EQ(chosen(device(), logits, {1, 0, 0, 0.2}, 0.99), 3);
  // Nothing is left: the argmax of the logits.
  EXPECT_EQ(chosen(device(), logits, {1, 0, 0, 1.5}, 0.99), 1);
}

TEST_P(Sample, TopPCountsMassThatOtherFiltersRemoved) {
  const Array logits = logs({0.1, 0.4, 0.3, 0.2});
  // Mass before an entry, largest first: 0, 0.4, 0.7, 0.9.
  EXPECT_EQ(chosen(device(), logits, {1, 0, 0.5, 0}, 0.99), 2);
  EXPECT_EQ(chosen(device(), logits, {1, 0, 0.8, 0}, 0.99), 3);
  EXPECT_EQ(chosen(device(), logits, {1, 0, 0.8, 0}, 0), 1);
  EXPECT_EQ(chosen(device(), logits, {1, 0, 0.01, 0}, 0.99), 1);
  // After top_k 2 the mass is not renormalised: 0.4 / 0.7 = 0.57 would be beyond 0.5.
  EXPECT_EQ(chosen(device(), logits, {1, 2, 0.5, 0}, 0.99), 2);
}

TEST_P(Sample, AgreesWithTheOracle) {
  const Filters all[] = {{0.8, 5, 0, 0},   {1, 0, 0.9, 0},     {1.5, 0, 0, 0.05},
                         {0.6, 5, 0.9, 0}, {2, 40, 0.7, 0.01}, {0, 5, 0, 0}};
  for (const Filters &filters : all) {
    for (const Shape &shape : {Shape{1, 1}, Shape{3, 5}, Shape{17, 320}, Shape{65, 63}}) {
      std::vector<double> u;
      for (const double x : draw(9, {shape[0]}, 0, 1).values) {
        u.push_back(std::fmin(x, 0.99));
      }
      const Array logits = draw(1, shape, -4, 4);
      expect_oracle(device(), sampled(logits, filters, u), oracle::sample);
      expect_oracle(device(), sampled(logits, filters), oracle::sample);
    }
  }
}
CALM_COVERS(Sample, AgreesWithTheOracle, kOracle, "sample");

TEST(SampleArguments, AreChecked) {
  const Case good = sampled(draw(1, {2, 5}), {}, {0, 0});
  const std::pair<Array, std::string> wrong[] = {
      {draw(1, {5}), "logits: expected an f32 or f64 tensor of rank 2, found f32[5]"},
      {scalar_i32(1.0), "temperature: expected f32[], found i32[]"},
      {real(1), "top_k: expected i32[], found f32[]"},
      {scalar_i32(1.0), "top_p: expected f32[], found i32[]"},
      {scalar_i32(1.0), "min_p: expected f32[], found i32[]"},
      {scalar_i32(1.0), "seed: expected i64[], found i32[]"},
      {scalar_i64(1), "micro_step: expected i32[], found i64[]"},
      {draw(1, {3}), "draw: expected f32[2], found f32[3]"}};
  for (std::size_t i = 0; i < std::size(wrong); ++i) {
    Case c = good;
    c.ins[i] = wrong[i].first;
    expect_refused(c, wrong[i].second);
  }
}
CALM_COVERS(SampleArguments, AreChecked, kRefused, "sample");

}  // namespace
}  // namespace calm::conformance
