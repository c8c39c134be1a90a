// Sums of columns, bit by bit: they have one order (kernels/sum_columns.cu).
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "cuda/fused.hpp"
#include "tests/cuda/node.hpp"

namespace calm::cuda {
void sum_columns_joined(const Launch *launches, std::size_t n);
}  // namespace calm::cuda

namespace calm::cuda_test {
namespace {

constexpr std::size_t kWarps = 8;

struct Sum {
  std::size_t rows;
  std::vector<std::size_t> widths;  // of pieces; every third is absent

  std::size_t columns() const {
    std::size_t all = 0;
    for (const std::size_t width : widths) {
      all += width;
    }
    return all;
  }
};

std::vector<float> drawn(std::size_t n) {
  std::mt19937 random(static_cast<unsigned>(n));
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float &value : x) {
    value = normal(random) * static_cast<float>(random() % 1000);
  }
  return x;
}

float expected(const std::vector<float> &x, const Sum &sum, std::size_t column) {
  double warps[kWarps] = {};
  for (std::size_t r = 0; r < sum.rows; ++r) {
    warps[r % kWarps] += static_cast<double>(x[r * sum.columns() + column]);
  }
  double total = 0;
  for (const double warp : warps) {
    total += warp;
  }
  return static_cast<float>(total);
}

void check(const std::vector<Sum> &sums) {
  const auto n = [](std::size_t x) { return static_cast<std::int64_t>(x); };
  std::vector<Operands> nodes;
  std::vector<std::vector<float>> parts;
  std::vector<std::vector<const float *>> outs;
  for (const Sum &sum : sums) {
    parts.push_back(drawn(sum.rows * sum.columns()));
    Operands &o = nodes.emplace_back(cuda::kSumColumns);
    o.in(parts.back(), {n(sum.rows), n(sum.columns())});
    outs.emplace_back();
    for (std::size_t i = 0; i < sum.widths.size(); ++i) {
      o.i64(n(sum.widths[i]));
      if (i % 3 == 2) {
        o.no_out();
      }
      outs.back().push_back(i % 3 == 2 ? nullptr : o.out<float>({n(sum.widths[i])}));
    }
  }
  Operands::run(cuda::sum_columns_joined, nodes);
  for (std::size_t k = 0; k < sums.size(); ++k) {
    std::size_t column = 0;
    for (std::size_t i = 0; i < sums[k].widths.size(); ++i) {
      for (std::size_t c = 0; c < sums[k].widths[i]; ++c, ++column) {
        if (outs[k][i] != nullptr) {
          ASSERT_EQ(outs[k][i][c], expected(parts[k], sums[k], column))
              << "sum " << k << ", piece " << i << ", column " << c;
        }
      }
    }
  }
}

TEST(SumColumns, AddsUpInItsOrder) {
  check({{1, {1}}});
  check({{7, {63, 66, 5, 1}}});
  check({{64, {128}}});
  check({{131, {50, 20}}});
}

TEST(SumColumns, OfNoRowsIsZero) { check({{0, {70}}}); }

TEST(SumColumns, AddsUpManyInAFewLaunches) {
  std::vector<Sum> sums;
  for (std::size_t k = 0; k < 100; ++k) {
    sums.push_back({k % 23, {1 + k % 7 * 31, 3, 2}});
  }
  check(sums);
}

}  // namespace
}  // namespace calm::cuda_test
