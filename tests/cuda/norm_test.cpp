// Sums that the last block of a launch adds up, bit by bit: the norm and its guard
// (kernels/optimizer.cu), the sum of a tensor (kernels/reduce.cu).
#include <gtest/gtest.h>

#include <calm/ops/optimizer.h>
#include <calm/ops/reduce.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "cuda/fused.hpp"
#include "tests/cuda/node.hpp"

namespace calm::cuda {
void guarded_norm(const Launch &launch);
std::size_t guarded_norm_plan(const Node &node);
void sum(const Launch &launch);
std::size_t sum_plan(const Node &node);
}  // namespace calm::cuda

namespace calm::cuda_test {
namespace {

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kThreads = 256;

std::int64_t signed_of(std::size_t n) { return static_cast<std::int64_t>(n); }

std::vector<float> drawn(std::size_t n) {
  std::mt19937 random(static_cast<unsigned>(n));
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  std::generate(x.begin(), x.end(), [&] { return normal(random); });
  return x;
}

/// The sum of 256 numbers as a block's threads add them.
double block_sum(std::vector<double> x) {
  double sum = 0;
  for (std::size_t warp = 0; warp < kThreads; warp += 32) {
    for (std::size_t step = 16; step > 0; step /= 2) {
      for (std::size_t lane = 0; lane < step; ++lane) {
        x[warp + lane] += x[warp + lane + step];
      }
    }
    sum += x[warp];
  }
  return sum;
}

/// Thread i takes every 256th number from i on.
template <class F>
double block_sum(std::size_t begin, std::size_t end, F &&number) {
  std::vector<double> own(kThreads, 0.0);
  for (std::size_t i = begin; i < end; ++i) {
    own[(i - begin) % kThreads] += number(i);
  }
  return block_sum(std::move(own));
}

template <class F>
void add_parts(std::size_t n, std::vector<double> &parts, F &&number) {
  for (std::size_t first = 0; first < n; first += kBlock) {
    parts.push_back(block_sum(first, std::min(n, first + kBlock), number));
  }
}

double total(const std::vector<double> &parts) {
  return block_sum(0, parts.size(), [&](std::size_t i) { return parts[i]; });
}

struct Norm {
  float norm = 0, coefficient = 0;
  std::int32_t go = -1, bad = -1;
};

Norm run(const std::vector<std::vector<float>> &tensors, double max_norm, std::int32_t bad) {
  Operands o(cuda::kGuardedNorm);
  for (const std::vector<float> &x : tensors) {
    o.in(x, {signed_of(x.size())});
  }
  o.in(std::vector<std::int32_t>{bad}, {}).f64(max_norm);

  const float *const norm = o.out<float>({});
  const float *const coefficient = o.out<float>({});
  o.no_out();
  const std::int32_t *const go = o.out<std::int32_t>({});
  const std::int32_t *const out_bad = o.out<std::int32_t>({});
  o.run(cuda::guarded_norm, cuda::guarded_norm_plan);
  return {*norm, *coefficient, *go, *out_bad};
}

TEST(GuardedNorm, AddsUpInItsOrder) {
  for (const std::vector<std::size_t> &sizes : std::vector<std::vector<std::size_t>>{
           {1}, {4096, 4097}, {0, 5, 0}, {0}, {270 * kBlock + 9}}) {
    SCOPED_TRACE(testing::Message() << sizes.size() << " tensors, the first of " << sizes[0]);
    std::vector<std::vector<float>> tensors;
    std::vector<double> parts;
    for (const std::size_t n : sizes) {
      const std::vector<float> &x = tensors.emplace_back(drawn(n));
      add_parts(n, parts, [&](std::size_t i) {
        return static_cast<double>(x[i]) * static_cast<double>(x[i]);
      });
    }
    const auto norm = static_cast<float>(std::sqrt(total(parts)));
    const Norm found = run(tensors, 2.0, 0);
    EXPECT_EQ(found.norm, norm);
    EXPECT_EQ(found.coefficient,
              std::min(1.0F, static_cast<float>(2.0 / (static_cast<double>(norm) + 1e-6))));
    EXPECT_EQ(found.go, 1);
    EXPECT_EQ(found.bad, 0);
  }
}

TEST(GuardedNorm, CountsNormsThatAreNotFinite) {
  const std::vector<float> good{3, 4};
  const std::vector<float> bad{1, std::numeric_limits<float>::infinity()};
  Norm found = run({good, bad}, 1.0, 0);
  EXPECT_EQ(found.go, 0);
  EXPECT_EQ(found.bad, 1);
  found = run({good}, 1.0, 2);
  EXPECT_EQ(found.norm, 5);
  EXPECT_EQ(found.go, 1);
  EXPECT_EQ(found.bad, 0);
  found = run({good}, 1.0, CALM_GUARD_LIMIT);
  EXPECT_EQ(found.go, 0);
  EXPECT_EQ(found.bad, CALM_GUARD_LIMIT);
}

TEST(SumOfAll, AddsUpInItsOrder) {
  for (const std::size_t n : {std::size_t{0}, std::size_t{1}, 300 * kBlock + 77}) {
    const std::vector<float> x = drawn(n);
    std::vector<double> parts;
    add_parts(n, parts, [&](std::size_t i) { return static_cast<double>(x[i]); });
    Operands o(CALM_OP_SUM);
    o.in(x, {signed_of(n)}).i64(-1);
    const float *const y = o.out<float>({});
    o.run(cuda::sum, cuda::sum_plan);
    EXPECT_EQ(*y, static_cast<float>(total(parts))) << n << " elements";
  }
}

}  // namespace
}  // namespace calm::cuda_test
